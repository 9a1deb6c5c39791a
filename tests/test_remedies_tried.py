"""No message tells a person to write what no test has tried.

A message counts if its advice, from the first imperative on, names something
to write: an option, an argument, a type, a file, a package. It is tried by a
case whose pattern holds words of that message alone, or by a test named here.
"""
import ast
import re

import test_remedies_help
import test_remedies_of_calls
import test_remedies_of_runs
import test_remedies_of_tools
from mmengine.config import Config
from test_remedies import REPO, SOURCES

from csd_mmpretrain.benchmark.step_benchmark import plain_model_cfg
from csd_mmpretrain.methods.crkd.discovery_study import stage_one_config

try:
    from re import _parser as parser
except ImportError:
    import sre_parse as parser

VERBS = ('add ask call choose convert copy correct drop end fill fit fix free '
         'freeze give go install keep leave lower make mend move name pass '
         'point put raise reduce remove rename repeat resume save set start '
         'take train try turn unpack unset upgrade use wait widen wrap write')
ADVICE = re.compile(r'(?:^|[.)`;:\]?]\s+|,? or )(?:{0})\b'.format('|'.join(
    f'{verb}|{verb.capitalize()}' for verb in VERBS.split())))
WRITTEN = re.compile(r'--[a-z]|\w=|`|\b(?:tools|configs)/|[a-z]_[a-z]|'
                     r'[A-Z][a-z]+[A-Z]|\bpip\b')
CASES = [pattern for module in (
    test_remedies_help, test_remedies_of_calls, test_remedies_of_runs,
    test_remedies_of_tools) for _, pattern, _ in (
        case[-3:] for case in module.CASES.values())]
SUITE = 'benchmark/test_accuracy_runs.py::test_'
RESUME = 'scenarios/test_resume_checkpoint_files.py::test_'
CONFIGS = 'test_remedies_tried.py::test_named_configs_are_of_the_right_kind'
# Words of a message: the test that tries its advice.
ELSEWHERE = {
    'differs from the config asked for now, so': f'{SUITE}results_of_other_'
    'configs_and_options_are_not_mixed',
    'was trained with {}, but now the options': f'{SUITE}results_of_other_'
    'configs_and_options_are_not_mixed',
    'Name one as `metric` of the suite': f'{SUITE}a_metric_that_no_validation_'
    'has_stops_the_rest',
    'a training is running in this folder': f'{SUITE}a_training_outlives_a_'
    'kill_and_is_not_started_twice',
    'A training is writing into': f'{RESUME}one_training_at_a_time_in_a_'
    'folder',
    'What was saved before is unchanged': f'{RESUME}resume_after_a_full_disk',
    'There is no whole checkpoint to resume': f'{RESUME}resume_with_nothing_'
    'there',
    'is no KEY=VALUE': 'runtime/test_tool_options.py::test_settings_keep_'
    'blanks_and_need_a_value',
    "packs neither 'img_path'": 'methods/csdnet/test_csd_head.py::test_own_'
    'images_are_known_by_their_place_in_the_dataset',
    'neither crops nor resizes': 'tools/test_benchmark_step.py::test_the_size_'
    'can_be_given',
    'has been trained in already': 'tools/test_kfold_cross_valid.py::test_'
    'stopped_fold_goes_on_in_two_processes',
    'Give --short for the small form': 'tools/test_gpu_check.py::test_a_part_'
    'of_the_short_form',
    'Give predictions of held-out training': 'tools/test_analysis_tools.py::'
    'test_calibration_with_a_temperature_of_other_images',
    'was trained with another teacher': 'methods/crkd/test_novel_class_'
    'discovery.py::test_resume_needs_the_same_teacher',
    'such as CUBObjects with masks=True': 'datasets/test_object_boxes.py::'
    'test_masks_go_the_way_of_their_images',
    'its prototypes are no parts of training': 'tools/test_vis_prototypes.py'
    '::test_pages_explanations_and_a_report',
    'Put the dataset there, or set the env': 'test_cmd_configs.py::'
    'test_config_obeys_the_data_root',
    'Use `--kind orthogonal`': 'methods/epic/test_explain.py::test_arcface_'
    'with_an_invertible_matrix_is_refused',
    'neither it nor the neck stands in': CONFIGS,
    'which has no pattern map to draw': CONFIGS,
    'Bags of patches belong to a CMD': CONFIGS,
    'Contexts and targets belong to a JEPA': CONFIGS,
    'its positions are set as those of mmpretrain': 'methods/jepa/test_jepa.py'
    '::test_a_transformer_of_timm_is_refused',
    'no default_hooks.seen': CONFIGS,
    'All photos of the train_dataloader have': CONFIGS,
    'expected NovelClassDiscovery': CONFIGS,
    'has no clusters. Give a stage 2': CONFIGS,
}
PROCESSES = 'needs several processes'
INSTALLS = 'changes the installation; extras are checked by test_remedies.py'
EXPORTER = 'needs an exporter that fails'
SAME = 'the advice of a message that is tried'
# Words of a message: why nothing is tried.
EXCEPTIONS = {
    'the environment has no': PROCESSES,
    'MASTER_ADDR is not set': PROCESSES,
    '(WORLD_SIZE), but --launcher is none': PROCESSES,
    'WORLD_SIZE is {}: start this tool': PROCESSES,
    'processes train, but the model has no': PROCESSES,
    'some would wait forever': PROCESSES,
    'gradients of the frozen parts': PROCESSES,
    'gradients of the branch': PROCESSES,
    'AmpOptimWrapper scales the loss': PROCESSES,
    'ImprintHook writes whole class': PROCESSES,
    'PrototypeHook writes whole': PROCESSES,
    'Install a matched set': INSTALLS,
    'mmengine needs pkg_resources': INSTALLS,
    'Class activation maps need': INSTALLS,
    'No installed font': INSTALLS,
    'mat4py cannot read': INSTALLS,
    '--format torch_export needs': INSTALLS,
    '--format onnx needs': INSTALLS,
    'torch-model-archiver 0.10': INSTALLS,
    'The demo needs': INSTALLS,
    'no bfloat16 instructions': 'needs another processor',
    'could not be written in the format': EXPORTER,
    'For a batch of {} images the file': EXPORTER,
    'The file does not run with a batch': EXPORTER,
    'but the disk has {} MB left': 'needs a full disk',
    'cannot draw into': 'needs a user without rights',
    'dino_vitbase16_pretrain.pth': 'needs weights of others',
    'keys cannot be hidden from it': 'no backbone here has such attention',
    'different sample_idx, but': "needs a data set of one's own",
    'must not reach the training': "needs a data set of one's own",
    "the model's neck, {}, would count": "needs a neck of one's own",
    'Go on with `tools/train.py CONFIG --resume`': SAME,
    'vit_to_mmpretrain.py: ': SAME,
    'training_maps.py: {} has a feature map': SAME,
    'to count classes both are needed': SAME,
    'is no file of EPIC': SAME,
    'does not load: {}. Fit anew': SAME,
    'belongs to a fit with other': SAME,
    'the purity did not rise': 'advice that may help',
    'all prototypes are equally likely': 'advice that may help',
    'one prototype takes all images': 'advice that may help',
    'Unpack or copy the dataset again, check': 'several faults, one line',
    'photos of {classes} classes': 'the text of a config',
}


def messages():
    """The texts with such advice, but for those of --help and docstrings."""
    for path in SOURCES:
        tree = ast.parse((REPO / path).read_text('utf-8'))
        skipped = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                skipped.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                skipped.update(node.values)
            elif isinstance(node, ast.keyword) and node.arg in (
                    'help', 'description'):
                skipped.update(ast.walk(node.value))
        for node in ast.walk(tree):
            parts = getattr(node, 'values', [node])
            if node in skipped or not isinstance(
                    node, (ast.Constant, ast.JoinedStr)):
                continue
            text = ' '.join(''.join(
                str(getattr(part, 'value', '')) if isinstance(
                    part, ast.Constant) else '{}' for part in parts).split())
            advice = ADVICE.search(text)
            if advice and WRITTEN.search(text, advice.start()):
                yield f'{path}: {text}'


def loosely(pattern):
    """A pattern for a text with {} for what only a run knows."""

    def walk(parts):
        for kind, value in parts:
            kind = str(kind)
            if kind == 'SUBPATTERN':
                yield from walk(value[-1])
            else:
                yield (re.escape(chr(value)) if kind == 'LITERAL' else
                       '.' if kind == 'ANY' else '.*?')

    return re.sub(r'(?:\\\s)+', ' ', ''.join(walk(parser.parse(pattern))))


def test_every_remedy_is_tried():
    listed = list(messages())
    assert len(listed) > 150
    tried = set()
    for pattern in [*map(loosely, CASES),
                    *map(re.escape, [*ELSEWHERE, *EXCEPTIONS])]:
        found = {text for text in listed if re.search(pattern, text)}
        assert len(found) <= 1, (pattern, found)
        tried |= found
    missing = [text for text in listed if text not in tried]
    assert not missing, '\n'.join(missing)


def test_named_configs_are_of_the_right_kind():

    def read(name):
        return Config.fromfile(REPO / f'configs/{name}.py')

    assert plain_model_cfg(read('csdnet/grocery81').model)
    assert read('csdnet/grocery81').model.neck.type == 'SSDPNeck'
    assert read('cmd/cmd_swin-tiny_cotton80').model.region_neck
    assert read('jepa/dseq-jepa_vit-small_cotton80').model.type == 'JEPA'
    assert {'seen', 'unseen'} < set(
        read('ecaml/ecaml_mobilenet-v2_grocery81').default_hooks)
    cfg = read('crkd/crkd_mobilenet-v2_grocery81')
    assert stage_one_config(cfg).model.head.num_novel == 0
    assert cfg.model.head.num_novel
    assert cfg.train_dataloader.dataset.type == 'NovelClasses'


def test_what_is_listed_is_there():
    listed = '\n'.join(messages())
    for words in [*ELSEWHERE, *EXCEPTIONS]:
        assert words in listed, words
    for test in ELSEWHERE.values():
        path, _, name = test.partition('::')
        assert f'def {name}(' in (REPO / 'tests' / path).read_text('utf-8')
