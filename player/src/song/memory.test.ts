import { describe, expect, it } from 'vitest'
import { PLAIN } from '../engine/types'
import { isPlain, louder, settled } from './memory'

it('tells an untouched mix from one that is worth remembering', () => {
  expect(isPlain({ volume: 0, stems: { a: PLAIN } })).toBe(true)
  expect(isPlain({ volume: 0, stems: { a: { ...PLAIN, eq: { low: 0, mid: 1, high: 0 } } } })).toBe(false)
  expect(isPlain({ volume: -3, stems: {} })).toBe(false)
})

it('reads settings of which parts are missing or damaged', () => {
  expect(settled(undefined)).toEqual(PLAIN)
  expect(settled({ gain: Number.NaN, mute: true })).toEqual({ ...PLAIN, mute: true })
})

describe('how much louder a mix is', () => {
  const lufs = { a: -20, b: -20 }
  it('is nothing while it is untouched, and 3 dB down for one of two', () => {
    expect(louder(lufs, { a: PLAIN, b: PLAIN })).toBe(0)
    expect(louder(lufs, { a: PLAIN, b: { ...PLAIN, mute: true } })).toBeCloseTo(-3.01, 2)
    expect(louder(lufs, { a: { ...PLAIN, solo: true }, b: PLAIN })).toBeCloseTo(-3.01, 2)
  })
  it('follows gains, within bounds', () => {
    expect(louder(lufs, { a: { ...PLAIN, gain: -2 }, b: { ...PLAIN, gain: -2 } })).toBeCloseTo(-2, 5)
    expect(louder(lufs, { a: { ...PLAIN, gain: 12 }, b: { ...PLAIN, gain: 12 } })).toBe(6)
  })
  it('is not known for silence, nor without measurements', () => {
    expect(louder(lufs, { a: { ...PLAIN, mute: true }, b: { ...PLAIN, mute: true } })).toBe(0)
    expect(louder({ a: null }, { a: { ...PLAIN, gain: -6 } })).toBe(0)
  })
})
