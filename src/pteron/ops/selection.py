"""Which of equal elements topk picks, and in which order: as the runtime's C++ library does.

ATen and ExecuTorch (kernels/portable/cpu/op_topk.cpp) call ``std::partial_sort`` where k is at most a 64th of the
elements, else ``std::nth_element`` followed by ``std::sort`` of the first k-1. Where elements are equal the standard
leaves the outcome open; exporters' and devices' results are those of libstdc++'s algorithms, which these functions
follow step by step (introselect with median-of-three pivots, heap select, introsort). ``keys`` are integers to be
ordered ascending; ``items`` are positions into them and are reordered in place.
"""

from __future__ import annotations

_THRESHOLD = 16  # below it, introsort leaves the rest to an insertion sort


def pick(keys: list[int], k: int, ordered: bool) -> list[int]:
    """The positions of the ``k`` smallest keys, in the order in which topk gives them."""
    items = list(range(len(keys)))
    if k == 0:
        return []
    if k * 64 <= len(items):
        _partial_sort(keys, items, 0, k, len(items))
    else:
        _nth_element(keys, items, k - 1)
        if ordered:
            _sort(keys, items, 0, k - 1)
    return items[:k]


def _nth_element(keys: list[int], items: list[int], nth: int) -> None:
    first, last = 0, len(items)
    depth = 2 * (last.bit_length() - 1)
    while last - first > 3:
        if depth == 0:
            _heap_select(keys, items, first, nth + 1, last)
            items[first], items[nth] = items[nth], items[first]
            return
        depth -= 1
        cut = _partition(keys, items, first, last)
        if cut <= nth:
            first = cut
        else:
            last = cut
    _insertion_sort(keys, items, first, last)


def _sort(keys: list[int], items: list[int], first: int, last: int) -> None:
    if last - first < 2:
        return
    pending = [(first, last, 2 * ((last - first).bit_length() - 1))]
    while pending:
        start, stop, depth = pending.pop()
        while stop - start > _THRESHOLD:
            if depth == 0:
                _partial_sort(keys, items, start, stop, stop)
                break
            depth -= 1
            cut = _partition(keys, items, start, stop)
            pending.append((cut, stop, depth))
            stop = cut
    _insertion_sort(keys, items, first, last)


def _partition(keys: list[int], items: list[int], first: int, last: int) -> int:
    """Split around the median of three elements, which goes to ``first``; gives the start of the second part."""
    a, b, c = first + 1, first + (last - first) // 2, last - 1
    ka, kb, kc = keys[items[a]], keys[items[b]], keys[items[c]]
    if ka < kb:
        median = b if kb < kc else c if ka < kc else a
    else:
        median = a if ka < kc else c if kb < kc else b
    items[first], items[median] = items[median], items[first]
    pivot = keys[items[first]]
    low, high = first + 1, last
    while True:
        while keys[items[low]] < pivot:
            low += 1
        high -= 1
        while pivot < keys[items[high]]:
            high -= 1
        if low >= high:
            return low
        items[low], items[high] = items[high], items[low]
        low += 1


def _insertion_sort(keys: list[int], items: list[int], first: int, last: int) -> None:
    # A stable sort moves elements exactly as insertion does.
    items[first:last] = sorted(items[first:last], key=keys.__getitem__)


def _partial_sort(keys: list[int], items: list[int], first: int, middle: int, last: int) -> None:
    _heap_select(keys, items, first, middle, last)
    while middle - first > 1:
        middle -= 1
        value = items[middle]
        items[middle] = items[first]
        _adjust_heap(keys, items, first, 0, middle - first, value)


def _heap_select(keys: list[int], items: list[int], first: int, middle: int, last: int) -> None:
    """The smallest elements of ``first:last`` go to ``first:middle``, as a heap with the greatest in front."""
    length = middle - first
    for parent in range((length - 2) // 2, -1, -1):
        _adjust_heap(keys, items, first, parent, length, items[first + parent])
    for position in range(middle, last):
        if keys[items[position]] < keys[items[first]]:
            value = items[position]
            items[position] = items[first]
            _adjust_heap(keys, items, first, 0, length, value)


def _adjust_heap(keys: list[int], items: list[int], first: int, hole: int, length: int, value: int) -> None:
    """Sink the hole to a leaf, then let ``value`` rise from there."""
    top = hole
    child = hole
    while child < (length - 1) // 2:
        child = 2 * (child + 1)
        if keys[items[first + child]] < keys[items[first + child - 1]]:
            child -= 1
        items[first + hole] = items[first + child]
        hole = child
    if length % 2 == 0 and child == (length - 2) // 2:
        child = 2 * (child + 1)
        items[first + hole] = items[first + child - 1]
        hole = child - 1
    parent = (hole - 1) // 2
    while hole > top and keys[items[first + parent]] < keys[value]:
        items[first + hole] = items[first + parent]
        hole = parent
        parent = (hole - 1) // 2
    items[first + hole] = value
