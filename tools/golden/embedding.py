"""Cases of ``embedding``."""

import numpy as np
from layouts import DTYPES, places, sample
from recorder import Recorder

rec = Recorder("embedding")

for seed, dtype in enumerate(DTYPES):
    rec.case("aten::embedding.out", sample(5, 3, dtype=dtype, seed=seed), places(2, 2, below=5, seed=seed))
table = sample(6, 4)
for indices in (np.array(3), places(3, below=6, dtype=np.int32), places(2, 1, 3, below=6), places(0, 2, below=6)):
    rec.case("aten::embedding.out", table, indices)
rec.case("aten::embedding.out", table, np.array([1, 5, 1]), 1)
rec.case("aten::embedding.out", table, np.array([1, 5, 1]), -1, True, True)
rec.case("aten::embedding.out", np.zeros((3, 0), np.float32), np.array([2, 0]))
rec.case("aten::embedding.out", np.zeros((0, 3), np.float32), np.array([], np.int64))
rec.case("aten::embedding.out", sample(3, 5).T, np.array([4, 0]))
rec.save()
