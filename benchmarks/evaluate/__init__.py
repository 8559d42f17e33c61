"""How exact and how fast an emulator is: for the shipped ones and for one's own."""
