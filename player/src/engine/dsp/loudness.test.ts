import { describe, expect, it } from 'vitest'
import { RATE, sine } from '../testing/sounds'
import { response } from './biquad'
import { kWeighting, Loudness, matching } from './loudness'

describe('loudness', () => {
  it('weighs as BS.1770 does: its coefficients at 48 kHz', () => {
    const [shelf, pass] = kWeighting(48000)
    const table = [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585]
    shelf.forEach((value, i) => expect(value).toBeCloseTo(table[i]!, 5))
    expect(pass[3]).toBeCloseTo(-1.99004745483398, 5)
    expect(pass[4]).toBeCloseTo(0.99007225036621, 5)
    expect(response(shelf, 997, 48000) + response(pass, 997, 48000)).toBeCloseTo(0.69, 1)
  })

  it('finds the gain between two sounds', () => {
    const [loud, soft] = [new Loudness(RATE), new Loudness(RATE)]
    const tone = sine(RATE, 500, 0.4)
    for (let at = 0; at < RATE; at += 128) {
      const piece = tone.subarray(at, at + 128)
      loud.add(piece, piece, piece.length)
      soft.add(piece.map((x) => x / 2), piece.map((x) => x / 2), piece.length)
    }
    expect(matching(loud.value, soft.value)).toBeCloseTo(0.5, 6)
    expect(matching(soft.value, loud.value)).toBeCloseTo(2, 6)
  })

  it('changes nothing where too little was heard, and never more than 12 dB', () => {
    expect(new Loudness(RATE).value).toBeNull()
    expect(matching(null, 0.5)).toBe(1)
    expect(matching(1e-9, 1)).toBe(4)
    expect(matching(1, 0)).toBe(0.25)
  })
})
