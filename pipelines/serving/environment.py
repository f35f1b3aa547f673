"""What the processes are told through their environment, and where the web server listens."""

ADDRESS = "127.0.0.1"
PORT_VARIABLE = "TAPROOM_UI_PORT"
SOCKET_VARIABLE = "TAPROOM_CODE_SOCKET"
LOGS_VARIABLE = "TAPROOM_LOGS"
# In the environment of all that is started here, and of what these start: a run outlives the code server that began it.
SERVED_VARIABLE = "TAPROOM_SERVED"
