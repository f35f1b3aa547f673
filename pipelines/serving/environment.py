"""The environment variables that the processes share, and the address of the web server."""

ADDRESS = "127.0.0.1"
# In a container: the address to listen on, and whether the web server refuses to change anything.
ADDRESS_VARIABLE = "TAPROOM_UI_ADDRESS"
READ_ONLY_VARIABLE = "TAPROOM_UI_READ_ONLY"
PORT_VARIABLE = "TAPROOM_UI_PORT"
SOCKET_VARIABLE = "TAPROOM_CODE_SOCKET"
LOGS_VARIABLE = "TAPROOM_LOGS"
# Set for all processes that are started here, and inherited by their children: a run outlives the code server that
# started it.
SERVED_VARIABLE = "TAPROOM_SERVED"
# What the command of the code server begins with: nothing, or a command that waits for the stores of `make stack`.
CODE_WAITS_VARIABLE = "TAPROOM_CODE_WAITS"
