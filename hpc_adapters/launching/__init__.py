"""How a program is started on the machines of a job, as shell text. Pure: nothing here touches a machine."""
