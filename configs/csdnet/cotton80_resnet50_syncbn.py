"""CSDNet on Cotton80, ResNet-50 with batch norm over all GPUs' images."""
_base_ = './cotton80_resnet50.py'

sync_bn = 'torch'
