"""Compare a CSDNet step with plain training: benchmark_step.py CONFIG."""
import argparse

from csd_mmpretrain.benchmark.card_memory import card_table
from csd_mmpretrain.benchmark.host_waits import wait_table
from csd_mmpretrain.benchmark.step_benchmark import (
    StepSetting,
    benchmark_step,
    config_img_size,
    format_table,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    positive,
)
from csd_mmpretrain.utils.measure import machine_name
from csd_mmpretrain.utils.protocol import has_network_passes
from csd_mmpretrain.utils.type_name import type_name
import torch


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Time and peak memory of training steps (the plain '
        'classifier, two plain passes, CSDNet) and of predictions, on random '
        'images and weights. A step of JEPA is compared with its networks '
        'alone.')
    parser.add_argument('config', help='a config of CSDNet or JEPA, or of a '
                        'method of your own that stands in for a plain '
                        'classifier')
    parser.add_argument(
        '--batch-size', type=positive, help='that of the config by default')
    parser.add_argument(
        '--img-size', type=positive, help='that of the config by default')
    parser.add_argument(
        '--iters', type=positive, default=10, help='measured steps (10)')
    parser.add_argument(
        '--warmup', type=int, default=2, help='steps before them (2)')
    parser.add_argument(
        '--no-predictions', action='store_true',
        help='measure training steps alone')
    parser.add_argument(
        '--waits', action='store_true',
        help='count how often the host waits for the device in a step, too')
    parser.add_argument(
        '--cards', action='store_true',
        help='tell, too, the largest batches that cards of 8, 16 and 24 GB '
        'can train, from the peak memory of two small ones')
    add_device(parser, choices=('cpu', 'cuda'))
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    setting = StepSetting(
        cfg=cfg,
        batch_size=args.batch_size or cfg.train_dataloader.batch_size,
        img_size=args.img_size or config_img_size(cfg),
        device=args.device,
        amp=args.amp)
    head = cfg.model.get('head') or {}
    if type_name(head.get('type')) == 'CSDHead':
        setting = setting._replace(name='CSDNet')
    print(f'\n{args.config}: {cfg.model.backbone.type}, batch '
          f'{setting.batch_size}, {setting.img_size} px, '
          f'{"mixed" if args.amp else "single"} precision, '
          f'{machine_name(args.device)}, torch {torch.__version__}, '
          f'{args.iters} interleaved steps')
    if args.cards:
        print(f'\n{card_table(setting)}', flush=True)
    if args.waits:
        print(f'\n{wait_table(setting)}', flush=True)
    training_only = args.no_predictions or has_network_passes(cfg.model)
    for training in (True, ) if training_only else (True, False):
        setting = setting._replace(training=training)
        costs = benchmark_step(setting, args.iters, args.warmup)
        print(f'\n{format_table(setting, costs)}', flush=True)


if __name__ == '__main__':
    run_tool(main)
