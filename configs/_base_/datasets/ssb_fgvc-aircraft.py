"""FGVC-Aircraft: the known and novel classes of the Semantic Shift Benchmark.

Numbers from 0; novel classes from hard to easy to tell from known ones.
"""
num_known = 50
num_novel = 50
known = [
    0, 1, 2, 3, 4, 5, 10, 11, 14, 16, 17, 19, 21, 22, 23, 24, 27, 28, 29, 30,
    33, 36, 37, 38, 39, 41, 43, 44, 45, 46, 47, 48, 52, 53, 56, 57, 58, 63,
    64, 65, 66, 67, 71, 73, 76, 77, 79, 92, 95, 99,
]
novel = [
    6, 7, 8, 9, 12, 13, 31, 32, 25, 26, 18, 20, 15, 78, 82, 51, 49, 50, 54,
    55, 59, 60, 61, 68, 69, 70, 85, 86, 87, 88, 80, 81, 42, 84, 40, 90, 74,
    75, 97, 98, 34, 35, 93, 94, 96, 72, 91, 83, 62, 89,
]

photos = dict(
    type='FGVCAircraft',
    data_root='{{$CSD_DATA_ROOT:data}}/fgvc-aircraft-2013b')
