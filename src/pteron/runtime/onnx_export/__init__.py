"""A method as one ONNX model in a file, which any ONNX runtime opens.

``lower.py`` makes one graph of ONNX nodes of a method's graph, ``interface.py`` its inputs, outputs and states with
names, ``weights.py`` puts the weights into the model, beside it or points to where they lie, ``convert.py``
does it all.
"""
