"""The environment variables that the processes share, and the address of the web server."""

ADDRESS = "127.0.0.1"
PORT_VARIABLE = "TAPROOM_UI_PORT"
SOCKET_VARIABLE = "TAPROOM_CODE_SOCKET"
LOGS_VARIABLE = "TAPROOM_LOGS"
# Set for all processes that are started here, and inherited by their children: a run outlives the code server that
# started it.
SERVED_VARIABLE = "TAPROOM_SERVED"
