import { afterEach, describe, expect, it, vi } from 'vitest'
import { serve } from '../testing/server'
import { noise } from '../testing/sounds'
import { FetchError, FormatError } from './errors'
import { flacFrame, flacInfo } from './flac'
import { FlacFrames } from './flacFrames'
import { RangeFile } from './range'

const BLOCK = 4096

function crc8(bytes: readonly number[]): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 7) & 255 : crc << 1
  }
  return crc
}

function coded(value: number): number[] {
  if (value < 0x80) return [value]
  const tail: number[] = []
  let mask = 0x3f
  while (value > mask >> 1 || tail.length === 0) {
    tail.unshift(0x80 | (value & 0x3f))
    value = Math.floor(value / 64)
    mask >>= 1
    if (value <= mask >> 1) break
  }
  return [((0xfe << (6 - tail.length)) & 0xff) | value, ...tail]
}

function header(number: number, last = 0): number[] {
  const size = last ? [0x79] : [0xc9] // a size of its own in 16 bits, or 4096; 44.1 kHz
  const bytes = [0xff, 0xf8, ...size, 0x18, ...coded(number), ...(last ? [(last - 1) >> 8, (last - 1) & 255] : [])]
  return [...bytes, crc8(bytes)]
}

/** The framing of a FLAC file, with bytes of chance for sound: frames of unequal size, likenesses of heads between. */
function flac(frames: number, last = 1000): { bytes: Uint8Array<ArrayBuffer>; offsets: number[] } {
  const samples = (frames - 1) * BLOCK + last
  const head = new Uint8Array(4 + 38 + 4 + 100)
  head.set([0x66, 0x4c, 0x61, 0x43, 0, 0, 0, 34, BLOCK >> 8, BLOCK & 255, BLOCK >> 8, BLOCK & 255])
  new DataView(head.buffer).setUint32(18, ((44100 << 12) >>> 0) + (1 << 9) + (15 << 4))
  new DataView(head.buffer).setUint32(22, samples)
  head.set([0x84, 0, 0, 100], 42)
  const chance = Uint8Array.from(noise(8192, 1, 128), (x) => Math.floor(x) & 255)
  const bytes = new Uint8Array(head.length + frames * 6400)
  bytes.set(head)
  const offsets: number[] = []
  let offset = head.length
  for (let number = 0; number < frames; number++) {
    const size = 40 + Math.floor(6000 * Math.abs(Math.sin(number / 50)))
    const like = header((number * 7) % frames) // looks like a frame, but is not the next one
    offsets.push(offset)
    const real = header(number, number === frames - 1 ? last : 0)
    for (const part of [real, like, chance.subarray(number, number + size)]) {
      bytes.set(part, offset)
      offset += part.length
    }
  }
  return { bytes: bytes.slice(0, offset), offsets }
}

const file = () => new RangeFile('/song.flac', new AbortController().signal)

afterEach(() => vi.unstubAllGlobals())

describe('frames of FLAC', () => {
  const song = flac(400)

  it('are described by the head', () => {
    expect(flacInfo(song.bytes)).toMatchObject({ sampleRate: 44100, channels: 2, blockSize: BLOCK, audio: 146 })
    expect(flacInfo(song.bytes.subarray(0, 43))).toEqual({ needed: 46 })
    expect(() => flacInfo(new Uint8Array(100))).toThrow(FormatError)
  })

  it('are known by head and checksum', () => {
    const info = flacInfo(song.bytes)
    if ('needed' in info) throw new Error('cut')
    expect(flacFrame(song.bytes, song.offsets[300]!, info)).toEqual({ start: 300 * BLOCK, samples: BLOCK })
    const wrong = song.bytes.slice()
    wrong[song.offsets[300]! + 4]! ^= 1
    expect(flacFrame(wrong, song.offsets[300]!, info)).toBeNull()
  })

  it('come one after the other, each whole, up to the last short one', async () => {
    serve(song.bytes)
    const frames = await FlacFrames.open(file())
    for (let number = 0; number < 400; number++) {
      const frame = await frames.next()
      expect(frame!.start).toBe(number * BLOCK)
      expect(frame!.bytes.length).toBe((song.offsets[number + 1] ?? song.bytes.length) - song.offsets[number]!)
    }
    expect(await frames.next()).toBeNull()
  })

  it('are found from any sample, without reading what is before', async () => {
    const long = flac(1200)
    const asked = serve(long.bytes)
    const frames = await FlacFrames.open(file())
    for (const sample of [0, 1199 * BLOCK + 5, 4.8e6, 4095, 4096, 3e6, 1.5e6, 4.5e6]) {
      asked.length = 0
      await frames.seek(sample)
      const number = Math.floor(sample / BLOCK)
      expect(await frames.next()).toMatchObject({ start: number * BLOCK })
      const read = asked.reduce((sum, [start, end]) => sum + end - start, 0)
      expect(asked.length).toBeLessThan(14)
      expect(read).toBeLessThan(long.bytes.length / 5)
    }
  })

  it('that are damaged are an error, not an endless search', async () => {
    const wrong = song.bytes.slice()
    wrong.fill(0, song.offsets[40], song.offsets[60])
    serve(wrong)
    const frames = await FlacFrames.open(file())
    const all = async () => {
      while (await frames.next());
    }
    await expect(all()).rejects.toThrow(FormatError)
  })
})

describe('a file over HTTP', () => {
  it('is asked for again while the server is away or busy', async () => {
    const { bytes } = flac(3)
    const troubles = [new TypeError('no network'), new Response('', { status: 503 })]
    serve(bytes, () => troubles.shift() ?? null)
    expect(await file().read(10, 20)).toEqual(bytes.slice(10, 20))
  })

  it.each([404, 200])('is refused where the server answers %d', async (status) => {
    serve(new Uint8Array(10), () => new Response('', { status }))
    await expect(file().read(0, 5)).rejects.toThrow(FetchError)
  })

  it('must not change while it is played', async () => {
    const headers = { 'Content-Range': 'bytes 0-4/10', ETag: '"2"' }
    serve(new Uint8Array(10), (asked) => (asked === 2 ? new Response('12345', { status: 206, headers }) : null))
    const one = file()
    await one.read(0, 5)
    await expect(one.read(5, 10)).rejects.toThrow('changed')
  })

  it('is given up when it is no longer wanted', async () => {
    serve(new Uint8Array(10), () => new Response('', { status: 500 }))
    const end = new AbortController()
    const reading = new RangeFile('/x', end.signal).read(0, 5)
    end.abort()
    await expect(reading).rejects.toThrow('aborted')
  })
})
