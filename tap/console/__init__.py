"""What a terminal shows. These modules know the tap only as an argument and give nothing back to it."""
