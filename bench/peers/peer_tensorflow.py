"""TensorFlow's graph executor, NHWC, filters as constants of the graph."""

import tensorflow as tf

from runners import CannotDo, Runner


def version():
    return tf.__version__


def layer_in_graph(layer, x):
    top, left, bottom, right = layer.pad
    padding = layer.tensorflow_padding or [[0, 0], [top, bottom], [left, right], [0, 0]]
    strides = (1, *layer.stride, 1)
    if layer.multiplier:
        if max(layer.dilation) > 1 and max(layer.stride) > 1:
            raise CannotDo("TensorFlow has no depthwise convolution with both stride and dilation")
        if layer.stride[0] != layer.stride[1]:
            raise CannotDo("TensorFlow has no depthwise convolution with two different strides")
        k, _, r, s = layer.filter.shape
        weights = layer.filter.reshape(layer.groups, layer.multiplier, r, s).transpose(2, 3, 0, 1)
        x = tf.nn.depthwise_conv2d(x, tf.constant(weights), strides, padding, dilations=layer.dilation)
    else:
        x = tf.nn.conv2d(x, tf.constant(layer.filter.transpose(2, 3, 1, 0)), strides, padding, dilations=layer.dilation)
    if layer.bias is not None:
        x = tf.nn.bias_add(x, tf.constant(layer.bias))
    if layer.activation == "hardswish":
        return x * tf.nn.relu6(x + 3) * (1 / 6)
    return {"none": lambda t: t, "relu": tf.nn.relu, "relu6": tf.nn.relu6}[layer.activation](x)


def make(problem, threads):
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:  # can be set before the first operation only
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

    def graph(x):
        for layer in problem.layers:
            x = layer_in_graph(layer, x)
        return x
    source = tf.constant(problem.input)
    function = tf.function(graph, input_signature=[tf.TensorSpec(source.shape, tf.float32)]).get_concrete_function()
    result = []

    def run():
        result[:] = [function(source)]
    return Runner(run, lambda: result[0].numpy(), "nhwc graph", keep=(function, source))
