import { expect, it } from 'vitest'
import { PLAIN } from '../engine/types'
import { isPlain, settled } from './memory'

it('tells an untouched mix from one that is worth remembering', () => {
  expect(isPlain({ volume: 0, stems: { a: PLAIN } })).toBe(true)
  expect(isPlain({ volume: 0, stems: { a: { ...PLAIN, eq: { low: 0, mid: 1, high: 0 } } } })).toBe(false)
  expect(isPlain({ volume: -3, stems: {} })).toBe(false)
})

it('reads settings of which parts are missing or damaged', () => {
  expect(settled(undefined)).toEqual(PLAIN)
  expect(settled({ gain: Number.NaN, mute: true })).toEqual({ ...PLAIN, mute: true })
})
