/** The tensors of a graph: names, contents, and where their memory is. */
import koffi, { type LibraryHandle } from "koffi";
import type { NativeTensors, Pointer, TensorMemory } from "./native-types.ts";

/**
 * `struct ggml_tensor` (ggml/include/ggml.h at v0.5.0), seen from its name: … buffer, ne[4], …, view_src, view_offs, data, name. The name's
 * place and the values there are checked against what the library's functions say.
 */
const BEFORE_NAME = {
  buffer: 248,
  shape: 240,
  viewOf: 24,
  viewOffset: 16,
  data: 8,
} as const;

export function bindTensors(base: LibraryHandle): NativeTensors {
  const tensorGet = base.func(
    "void ggml_backend_tensor_get(void* t, void* data, size_t offset, size_t size)",
  );
  const tensorSet = base.func(
    "void ggml_backend_tensor_set(void* t, const void* data, size_t offset, size_t size)",
  );
  const nbytes = base.func("size_t ggml_nbytes(void* t)");
  const elements = base.func("int64 ggml_nelements(void* t)");
  const dataOf = base.func("void* ggml_get_data(void* t)");
  const nameAt = base.func("void* ggml_get_name(void* t)");
  const tensorName = base.func("const char* ggml_get_name(void* tensor)");
  const isHost = base.func("bool ggml_backend_buffer_is_host(void* buffer)");

  /** Undefined where the struct is not as expected. */
  const fieldsOf = (tensor: Pointer) => {
    const start = Number(
      (nameAt(tensor) as bigint) - tensor - BigInt(BEFORE_NAME.buffer),
    );
    if (start !== 8) return undefined; // the type is before the buffer
    const view = new DataView(
      koffi.view(tensor, start + BEFORE_NAME.buffer),
      start,
    );
    const at = (before: number): bigint =>
      view.getBigUint64(BEFORE_NAME.buffer - before, true);
    const shape = [0, 8, 16, 24].map((i) => Number(at(BEFORE_NAME.shape - i)));
    const data = at(BEFORE_NAME.data);
    const product = shape.reduce((all, n) => all * n, 1);
    const isExpected =
      data === ((dataOf(tensor) as bigint | null) ?? 0n) &&
      product === Number(elements(tensor));
    if (!isExpected) return undefined;
    return {
      buffer: at(BEFORE_NAME.buffer),
      shape,
      data,
      viewOf: at(BEFORE_NAME.viewOf) as Pointer,
      viewOffset: at(BEFORE_NAME.viewOffset),
    };
  };

  const memoryOf = (tensor: Pointer): TensorMemory | undefined => {
    const fields = fieldsOf(tensor);
    if (fields === undefined || fields.data === 0n) return undefined;
    if (fields.viewOf !== 0n) {
      // ggml names the owner itself, never a view between.
      const owner = memoryOf(fields.viewOf);
      const address = Number(fields.data - fields.viewOffset);
      return owner?.address === address ? owner : undefined;
    }
    const { buffer, data, shape } = fields;
    if (buffer === 0n || !(isHost(buffer) as boolean)) return undefined;
    return {
      name: tensorName(tensor) as string,
      address: Number(data),
      sizeBytes: Number(nbytes(tensor)),
      shape,
    };
  };

  return {
    tensorName,
    tensorBytes: (tensor) => Number(nbytes(tensor)),
    readTensor: (tensor, into, sizeBytes) =>
      tensorGet(tensor, into, 0, sizeBytes),
    writeTensor: (tensor, from, sizeBytes) =>
      tensorSet(tensor, from, 0, sizeBytes),
    memoryOf,
  };
}
