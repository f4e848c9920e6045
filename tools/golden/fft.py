"""Golden cases of the Fourier transforms."""

import numpy as np
from recorder import Recorder
from samples import complexes, floats

rec = Recorder("fft")

FORWARD, BACK = "aten::_fft_r2c.out", "aten::_fft_c2r.out"
for normalization in (0, 1, 2):
    for onesided in (True, False):
        rec.case(FORWARD, floats(7), [0], normalization, onesided, atol=1e-5)
        rec.case(FORWARD, floats(3, 8), [1], normalization, onesided, atol=1e-5)
        rec.case(FORWARD, floats(5, 6), [1, 0], normalization, onesided, atol=1e-5)
        rec.case(FORWARD, floats(2, 3, 4, dtype=np.float64), [0, 2], normalization, onesided, rtol=1e-12)
    rec.case(BACK, complexes(4), [0], normalization, 7, atol=1e-5)
    rec.case(BACK, complexes(3, 5), [1], normalization, 8, atol=1e-5)
    rec.case(BACK, complexes(3, 5), [0, 1], normalization, 9, atol=1e-5)
    rec.case(BACK, complexes(3, 5, 2), [2, 1], normalization, 8, atol=1e-5)
    rec.case(BACK, complexes(2, 4, 3, dtype=np.complex128), [0, 2], normalization, 4, rtol=1e-12)
rec.case(FORWARD, np.array([1, np.nan, 2, 3], np.float32), [0], 0, True)
rec.case(FORWARD, floats(1, 1), [0, 1], 2, True)
rec.case(FORWARD, floats(6, 4).T, [1], 0, True, atol=1e-5)
rec.save()
