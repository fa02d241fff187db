import { expect, it } from 'vitest'
import { pictureIn } from './cover'

function block(type: number, body: Uint8Array, last = false): Uint8Array {
  const head = new DataView(new ArrayBuffer(4))
  head.setUint32(0, ((last ? 0x80 : 0) + type) * 2 ** 24 + body.length)
  return new Uint8Array([...new Uint8Array(head.buffer), ...body])
}
const word = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
const text = (value: string) => [...word(value.length), ...new TextEncoder().encode(value)]
const picture = (mime: string, bytes: number[]) => new Uint8Array([...word(3), ...text(mime), ...text('Cover'), ...word(0), ...word(0), ...word(0), ...word(0), ...word(bytes.length), ...bytes])
const flac = (...blocks: Uint8Array[]) => new Uint8Array([...new TextEncoder().encode('fLaC'), ...blocks.flatMap((one) => [...one])]).buffer

it('finds the bytes of a picture behind other metadata', () => {
  const file = flac(block(0, new Uint8Array(34)), block(4, new Uint8Array(50)), block(6, picture('image/png', [7, 8, 9])), block(1, new Uint8Array(9), true))
  const found = pictureIn(file)
  expect(found?.mime).toBe('image/png')
  expect([...new Uint8Array(file.slice(found?.start, found?.end))]).toEqual([7, 8, 9])
})

it('finds one that reaches beyond the bytes at hand', () => {
  const file = flac(block(6, picture('image/jpeg', Array.from({ length: 500 }, () => 1)), true))
  expect(pictureIn(file.slice(0, 120))).toMatchObject({ mime: 'image/jpeg', end: file.byteLength })
})

it.each([
  ['another file', new TextEncoder().encode('ID3 and more of it').buffer],
  ['nothing', new ArrayBuffer(0)],
  ['a file without a picture', flac(block(0, new Uint8Array(34)), block(4, new Uint8Array(50), true))],
  ['a picture that could hold scripts', flac(block(6, picture('image/svg+xml', [1]), true))],
  ['a picture of nothing', flac(block(6, picture('image/png', []), true))],
])('finds none in %s', (_, file) => expect(pictureIn(file as ArrayBuffer)).toBeNull())
