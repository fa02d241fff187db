import { describe, expect, it } from 'vitest'
import { changed, heardStems, isHeard } from './settings'
import { PLAIN } from './types'

describe('settings', () => {
  it('stay within their bounds', () => {
    const eq = { low: -90, mid: 5, high: 13 }
    expect(changed(PLAIN, { gain: 99, pan: -3, eq })).toEqual({
      ...PLAIN,
      gain: 12,
      pan: -1,
      eq: { low: -24, mid: 5, high: 12 },
    })
    expect(changed(PLAIN, { gain: NaN }).gain).toBe(-60)
  })
})

describe('what is heard', () => {
  const stems = { a: PLAIN, b: PLAIN, c: PLAIN }
  const heard = (given: typeof stems) => Object.keys(given).filter((name) => isHeard(given, name))

  it('is all that is not muted', () => {
    expect(heard({ ...stems, b: { ...PLAIN, mute: true } })).toEqual(['a', 'c'])
  })

  it('is only what is soloed where anything is; but not what is muted', () => {
    const solo = { ...PLAIN, solo: true }
    expect(heard({ ...stems, b: solo })).toEqual(['b'])
    expect(heard({ ...stems, a: solo, b: { ...solo, mute: true } })).toEqual(['a'])
  })

  it('goes to the mixer in the order of its stems', () => {
    const heard = heardStems({ ...stems, c: { ...PLAIN, gain: 3 }, a: { ...PLAIN, mute: true } }, ['c', 'a', 'b'])
    expect(heard.map((one) => one.gain)).toEqual([3, -60, 0])
  })
})
