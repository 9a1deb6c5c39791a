"""Try and measure everything on this machine's GPU: gpu_check.py."""
import argparse
from pathlib import Path
import sys
import tempfile
from typing import List

from csd_mmpretrain.benchmark.check_parts import (
    Part,
    format_check,
    machine_table,
    run_parts,
)
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_device,
    amount,
    output_file,
)
from csd_mmpretrain.utils.measure import in_process

ROOT = Path(__file__).resolve().parents[1]
TOOLS, CONFIGS = ROOT / 'tools', ROOT / 'configs/csdnet'
DRAW = ('import sys, csd_mmpretrain; from csd_mmpretrain.datasets.'
        'synthetic_leaves import SyntheticLeaves; SyntheticLeaves(sys.argv[1],'
        ' num_classes=80, train_per_class=int(sys.argv[2]), test_per_class=1, '
        'image_size=int(sys.argv[3]))')
STEPS = {
    'cotton80.py': 'mixed precision',
    'cotton80_fast.py': 'bfloat16, fused AdamW',
    'cotton80_half-view.py': 'second views of half the size',
    'cotton80_vit-b16_kept-tokens.py': 'kept tokens',
}


def small_model(config: str) -> List[str]:
    """Give the options by which a CPU trains a config in seconds."""
    arch, channels = (('deit-tiny', 192) if 'vit' in config else
                      ('tiny', 768))
    options = [f'model.backbone.arch={arch}', 'model.backbone.img_size=128',
               f'model.neck.in_channels={channels}',
               f'model.head.cls_head.in_channels={channels}',
               f'model.head.contrast.feat_dim={channels}']
    return options + ['model.backbone.pad_small_map=True'] * (arch == 'tiny')


def list_parts(folder: Path, device: str, short: bool) -> List[Part]:
    """List what is run, the most important first."""
    python, data = sys.executable, folder / 'COTTON'
    hidden = {} if device == 'cuda' else {'CUDA_VISIBLE_DEVICES': ''}
    hidden['PYTHONPATH'] = str(ROOT)
    train = [python, TOOLS / 'train.py', CONFIGS / 'cotton80.py', '--amp',
             '--work-dir', folder / 'run', '--cfg-options',
             'model.backbone.init_cfg=None', 'train_cfg.max_epochs=2',
             'train_cfg.val_interval=2', 'default_hooks.logger.interval=5']
    if short:
        train += [*small_model('cotton80.py'), 'train_dataloader.batch_size=8',
                  'train_dataloader.dataset.pipeline.1.scale=128',
                  'val_dataloader.dataset.pipeline.1.scale=128',
                  'val_dataloader.dataset.pipeline.2.crop_size=128',
                  'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    parts = [
        Part('Images in the format of Cotton80',
             [python, '-c', DRAW, data, *(['1', '64'] if short else
                                          ['3', '192'])],
             environment=hidden),
        Part('Training: cotton80.py --amp, random weights', train,
             lines=r'Epoch\((train|val)\)|Best epoch',
             environment=dict(hidden, CSD_DATA_ROOT=str(folder)))]
    for config, what in STEPS.items():
        command = [python, TOOLS / 'benchmark_step.py', CONFIGS / config,
                   '--amp', '--device', device, '--no-predictions']
        if config == 'cotton80.py':
            command.append('--waits')
        if not short or config == 'cotton80.py':  # slow to measure on a CPU
            command.append('--cards')
        if short:
            command += ['--batch-size', '2', '--img-size', '128', '--iters',
                        '1', '--warmup', '0', '--cfg-options',
                        *small_model(config)]
        parts.append(Part(f'Steps: {config} ({what})', command,
                          limit=600 if short else 120, environment=hidden))
    tests = [path for path in sorted((ROOT / 'tests').rglob('test_*.py'))
             if 'mark.gpu' in path.read_text(encoding='utf-8')]
    queues = [100, 1000] if short else [1000, 10000, 100000, 1000000]
    return parts + [
        Part('DDL', [python, TOOLS / 'benchmark_ddl.py', '--no-peer',
                     '--device', device, '--batch-size', '32', '--queue-lens',
                     *map(str, queues)], environment=hidden),
        Part('Tests that need a GPU',
             [python, '-m', 'pytest', '-q', '-m', 'gpu', '-rs',
              '--continue-on-collection-errors', *tests],
             lines=r'passed|failed|skipped|SKIPPED|FAILED',
             environment=hidden)]


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Train, measure and test on one GPU, in less than eight '
        'minutes, and report it as Markdown. A part that fails is reported, '
        'and the next one runs.')
    parser.add_argument(
        '--short', action='store_true',
        help='small models and images, which a CPU does in some minutes')
    parser.add_argument(
        '--parts', nargs='+', metavar='WORD',
        help='only those with one of these words in their titles')
    parser.add_argument(
        '--minutes', type=amount, default=7.5,
        help='the time for all; what does not fit is left out (7.5)')
    parser.add_argument(
        '--out', type=output_file, default='work_dirs/gpu_check.md',
        help='the report (work_dirs/gpu_check.md)')
    add_device(parser, choices=('cpu', 'cuda'))
    args = parser.parse_args()
    if args.device == 'cpu' and not args.short:
        parser.error('there is no GPU here. Give --short for the small form, '
                     'which runs on a CPU.')
    return args


def main() -> None:
    """Run all parts and write the report."""
    args = parse_args()
    machine = in_process(machine_table, args.device)
    with tempfile.TemporaryDirectory() as folder:
        parts = list_parts(Path(folder), args.device, args.short)
        outcomes = run_parts([
            part for part in parts
            if not args.parts or any(word.lower() in part.title.lower()
                                     for word in args.parts)], args.minutes)
    report = f'{machine}\n\n{format_check(outcomes)}'.replace(f'{ROOT}/', '')
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(report, encoding='utf-8')
    print(f'\n{report}\nWritten to {args.out}.')
    sys.exit(any(done.result != 'ok' for done in outcomes))


if __name__ == '__main__':
    run_tool(main)
