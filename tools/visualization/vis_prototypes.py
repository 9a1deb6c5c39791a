"""Explain ST-ProtoPNet by its prototypes: vis_prototypes.py CONFIG FILE."""
import argparse
import os

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import (
    eval_pipeline,
    find_images,
    load_items,
    spread,
)
from csd_mmpretrain.datasets.samples import list_infos
from csd_mmpretrain.methods.st_protopnet.explainer import PrototypeExplainer
from csd_mmpretrain.methods.st_protopnet.heat_measures import heat_measures
from csd_mmpretrain.methods.st_protopnet.prototype_hook import COLUMNS
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    output_folder,
    positive,
)
from csd_mmpretrain.utils.tables import markdown_table
from csd_mmpretrain.visualization.cam import find_category, grad_cams
from csd_mmpretrain.visualization.explanation_figure import (
    explanation_figure,
    prototype_page,
)
from csd_mmpretrain.visualization.explanation_report import write_report


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Show why ST-ProtoPNet gives photos their classes, and '
        'what its prototypes are: pictures, and a report for the browser.')
    parser.add_argument('config', help='config file of the training')
    parser.add_argument(
        'checkpoint', help='its checkpoint, after a push: the last one')
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='PATH',
        help='photos to explain, files or folders; by default test photos')
    parser.add_argument(
        '--num', type=positive, default=4,
        help='how many photos at most, evenly spread (4)')
    parser.add_argument(
        '--reasons', type=positive, default=3,
        help='reasons of each branch (3)')
    parser.add_argument(
        '--target-category',
        metavar='CLASS',
        help='the class to explain, by number or name; by default the '
        'predicted one of each photo')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=[],
        metavar='CLASS',
        help='classes whose prototypes are drawn on a page each, by number or '
        'name, or `all`; by default those of the explanations')
    parser.add_argument(
        '--cam', action='store_true',
        help='draw Grad-CAM beside each photo (needs the extra `cam`)')
    parser.add_argument(
        '--measure',
        type=positive,
        metavar='N',
        help='measure CH, OIRR, IoU and DAUC on N test photos, which need '
        'masks')
    parser.add_argument(
        '--out-dir',
        type=output_folder,
        metavar='FOLDER',
        help='work_dirs/<config name>/prototypes by default')
    add_dpi(parser, 110)
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.out_dir is None:
        name = os.path.splitext(os.path.basename(args.config))[0]
        args.out_dir = output_folder(
            os.path.join('work_dirs', name, 'prototypes'))
    return args


def main() -> None:
    """Write the pictures and the report that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    explainer = PrototypeExplainer(cfg, args.checkpoint, args.device)
    test = list_infos(build_without_pipeline(cfg.test_dataloader.dataset))
    infos = [test[i] for i in spread(len(test), args.num)]
    if args.images:
        infos = [dict(img_path=path)
                 for path in find_images(args.images, args.num)]
    tables = [('Accuracy, before and after each push',
               COLUMNS, explainer.record['rows'])]
    if args.measure:
        chosen = [test[i] for i in spread(len(test), args.measure)]
        found = heat_measures(explainer, chosen)
        tables.append((f'Heat of the true class and the object, '
                       f'{len(chosen)} photos', tuple(found),
                       [[f'{value:.3f}' for value in found.values()]]))
    label = args.target_category
    if label is not None:
        label = find_category(label, explainer.classes)
    explanations = [explainer.explain(info, label, args.reasons)
                    for info in infos]
    if args.classes == ['all']:
        shown = range(len(explainer.classes))
    elif args.classes:
        shown = [find_category(name, explainer.classes)
                 for name in args.classes]
    else:
        shown = sorted({explainer.classes.index(one.class_name)
                        for one in explanations})
    pages = [(f'Prototypes of {explainer.classes[i]}',
              prototype_page(f'Prototypes of {explainer.classes[i]}',
                             *explainer.class_prototypes(i)))
             for i in shown]
    cams = None
    if args.cam:
        items = load_items(infos, eval_pipeline(cfg))
        cams = grad_cams(explainer.model, items, label)
    for i, explanation in enumerate(explanations):
        figure = explanation_figure(explanation, cams and cams[i])
        figure.savefig(os.path.join(args.out_dir, f'explanation_{i + 1}.png'),
                       dpi=args.dpi)
    for i, (_, figure) in zip(shown, pages):
        figure.savefig(os.path.join(args.out_dir, f'class_{i}.png'),
                       dpi=args.dpi)
    report = os.path.join(args.out_dir, 'report.html')
    write_report(report, f'{cfg.filename}: why', explanations, tables, pages,
                 cams)
    for caption, header, rows in tables:
        print(f'\n{caption}:\n{markdown_table(header, rows)}')
    for explanation in explanations:
        points = ' '.join(f'{reason.points:+.3f}'
                          for reason in explanation.reasons)
        print(f'\n{explanation.source}: {explanation.class_name}, logit '
              f'{explanation.logit:.3f} = {points} {explanation.rest:+.3f} '
              'of all else')
    print(f'\n{report}, and its pictures beside it')


if __name__ == '__main__':
    run_tool(main)
