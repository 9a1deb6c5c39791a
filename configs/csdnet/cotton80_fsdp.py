"""CSDNet on Cotton80, the weights spread over several GPUs by FSDP."""
_base_ = './cotton80.py'

runner_type = 'FlexibleRunner'
strategy = dict(type='BlockFSDPStrategy', blocks=['SwinBlock'])
