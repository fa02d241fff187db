import { describe, expect, it } from 'vitest'
import { FormatError } from './errors'
import { wavInfo, wavSamples } from './wav'

/** A WAV file's bytes. */
function wav({ tag, bits, body, before = '' }: { tag: number; bits: number; body: number[]; before?: string }) {
  const head = new DataView(new ArrayBuffer(44 + before.length))
  const write = (at: number, text: string) => [...text].forEach((x, i) => head.setUint8(at + i, x.charCodeAt(0)))
  write(0, 'RIFF')
  write(8, 'WAVE' + before)
  const at = 12 + before.length
  write(at, 'fmt ')
  head.setUint32(at + 4, 16, true)
  head.setUint16(at + 8, tag, true)
  head.setUint16(at + 10, 2, true)
  head.setUint32(at + 12, 48000, true)
  head.setUint16(at + 22, bits, true)
  write(at + 24, 'data')
  head.setUint32(at + 28, body.length, true)
  return Uint8Array.from([...new Uint8Array(head.buffer), ...body])
}

describe('WAV', () => {
  it('is described by its head, whatever stands before its samples', () => {
    const bytes = wav({ tag: 1, bits: 16, body: [0, 0, 0, 0], before: 'LIST\u0004\0\0\0abcd' })
    expect(wavInfo(bytes, bytes.length)).toEqual({
      sampleRate: 48000,
      channels: 2,
      bytes: 2,
      float: false,
      start: 56,
      frames: 1,
    })
    expect(wavInfo(bytes.subarray(0, 40), bytes.length)).toBeNull()
  })

  it.each([
    [16, 1, [0x00, 0x80, 0xff, 0x7f], [-1, 32767 / 32768]],
    [24, 1, [0x00, 0x00, 0x80, 0x01, 0x00, 0x00], [-1, 2 ** -23]],
    [32, 1, [0, 0, 0, 0x40, 0, 0, 0, 0xc0], [0.5, -0.5]],
    [32, 3, [0, 0, 0x80, 0x3e, 0, 0, 0, 0xc0], [0.25, -2]],
  ])('of %d bits (format %d) has its samples to the bit', (bits, tag, body, expected) => {
    const bytes = wav({ tag, bits, body })
    const info = wavInfo(bytes, bytes.length)!
    const [left, right] = wavSamples(bytes.subarray(info.start), info)
    expect([...left!, ...right!]).toEqual([...Float32Array.from(expected)])
  })

  it('of another kind is refused', () => {
    const law = wav({ tag: 7, bits: 8, body: [] })
    expect(() => wavInfo(law, law.length)).toThrow(FormatError)
    expect(() => wavInfo(new Uint8Array(100), 100)).toThrow(FormatError)
  })
})
