import { describe, expect, it } from 'vitest'
import { columnsOf, readPeaks, together } from './peaks'

interface Dat {
  version?: number
  bits?: 8 | 16
  rate?: number
  perPixel?: number
  channels?: number
  values: number[]
}

function dat({ version = 2, bits = 16, rate = 1000, perPixel = 10, channels = 1, values }: Dat): ArrayBuffer {
  const head = version === 1 ? 20 : 24
  const buffer = new ArrayBuffer(head + values.length * (bits / 8))
  const view = new DataView(buffer)
  const fields = [version, bits === 8 ? 1 : 0, rate, perPixel, values.length / 2 / channels]
  for (const [at, value] of fields.entries()) view.setInt32(4 * at, value, true)
  if (version === 2) view.setInt32(20, channels, true)
  for (const [at, value] of values.entries())
    if (bits === 8) view.setInt8(head + at, value)
    else view.setInt16(head + 2 * at, value, true)
  return buffer
}

describe('readPeaks', () => {
  it('reads 16 bits to full scale', () => {
    const peaks = readPeaks(dat({ values: [-32767, 32767, 0, 16384] }))
    expect(peaks.sampleRate).toBe(1000)
    expect(peaks.highest).toBe(1)
    expect(peaks.levels[0]?.values[3]).toBeCloseTo(0.5, 4)
  })

  it('reads 8 bits, and version 1 which knows no channels', () => {
    expect(readPeaks(dat({ bits: 8, values: [-127, 127] })).highest).toBe(1)
    expect(readPeaks(dat({ version: 1, values: [-32767, 0] })).levels[0]?.length).toBe(1)
  })

  it('joins channels into their outermost values', () => {
    const peaks = readPeaks(dat({ bits: 8, channels: 2, values: [-127, 0, 0, 127] }))
    expect([...(peaks.levels[0]?.values ?? [])]).toEqual([-1, 1])
  })

  it.each([
    ['nothing', new ArrayBuffer(0)],
    ['another version', dat({ version: 3, values: [0, 0] })],
    ['values that were cut off', dat({ values: [0, 0, 0, 0] }).slice(0, 26)],
    ['a rate of nothing', dat({ rate: 0, values: [0, 0] })],
  ])('refuses %s', (_, buffer) => expect(() => readPeaks(buffer)).toThrow(RangeError))

  it('keeps a click in every level', () => {
    const values = Array.from({ length: 20_000 }, () => 0)
    values[2 * 7777 + 1] = 32767
    const peaks = readPeaks(dat({ values }))
    expect(peaks.levels.length).toBeGreaterThan(2)
    for (const level of peaks.levels) expect(Math.max(...level.values)).toBe(1)
  })
})

describe('columnsOf', () => {
  const values = Array.from({ length: 4000 }, (_, at) => (at % 2 ? Math.floor(at / 2) : 0)) // a ramp: pixel 7 is 7 high
  const ramp = readPeaks(dat({ values }))

  it('gives a whole song in a few columns, each the highest of its part', () => {
    const columns = columnsOf(ramp, 0, 20, 4)
    for (const [at, high] of [499, 999, 1499, 1999].entries()) expect((columns[2 * at + 1] ?? 0) * 32767).toBeCloseTo(high, 1)
  })

  it('repeats pixels where columns are finer than them', () => {
    const columns = columnsOf(ramp, 1, 1.02, 4)
    expect([1, 3, 5, 7].map((at) => Math.round((columns[at] ?? 0) * 32767))).toEqual([100, 100, 101, 101])
  })

  it('is silent before and after the song', () => {
    const columns = columnsOf(ramp, -10, 30, 4)
    expect([columns[1], columns[7]]).toEqual([0, 0])
    expect(columns[3]).toBeGreaterThan(0)
  })
})

describe('together', () => {
  const half = Array.from({ length: 8192 }, (_, at) => (at < 4096 ? [-32767, 32767] : [0, 0])).flat() // loud, then silent
  const one = readPeaks(dat({ values: half.map((value) => value * 0.6) }))
  const other = readPeaks(dat({ perPixel: 20, values: half.slice(0, 8192).map((value) => value * 0.8) })) // loud throughout, and as long

  it('adds overviews up as unrelated sounds do, whatever their steps', () => {
    const both = together([one, other])
    const columns = both && columnsOf(both, 0, 81.92, 2)
    expect([...(columns ?? [])].map((value) => Number(value.toFixed(3)))).toEqual([-1, 1, -0.8, 0.8])
    expect(both?.highest).toBeCloseTo(1, 4)
  })
  it('is nothing where there are none', () => expect(together([])).toBeUndefined())
})
