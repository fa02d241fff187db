import { describe, expect, it } from 'vitest'
import { loudness, hitSound } from './kit'

const RATE = 44_100
const energy = (sound: Float32Array) => sound.reduce((sum, value) => sum + value * value, 0) / sound.length
/** Mean frequency by zero crossings, Hz. */
const pitch = (sound: Float32Array) => sound.reduce((sum, value, at) => sum + (at > 0 && value * (sound[at - 1] ?? 0) < 0 ? 1 : 0), 0) / (2 * (sound.length / RATE))

describe('the kit', () => {
  const lanes = Array.from({ length: 8 }, (_, lane) => hitSound(lane, 0, RATE))
  it('has a sound for each lane that neither clips nor breaks, and ends in silence', () => {
    for (const sound of lanes) {
      expect(sound.every((value) => Math.abs(value) <= 1)).toBe(true)
      expect(energy(sound)).toBeGreaterThan(1e-4)
      expect(Math.abs(sound.at(-1) ?? 1)).toBeLessThan(0.01)
    }
  })
  it('goes from deep to bright as a kit does', () => {
    const [kick, snare, hat, high, mid, floor, crash] = lanes.map((sound) => pitch(sound.subarray(0, 4_000)))
    expect(kick).toBeLessThan(floor ?? 0)
    expect(floor).toBeLessThan(mid ?? 0)
    expect(mid).toBeLessThan(high ?? 0)
    expect(high).toBeLessThan(snare ?? 0)
    for (const bright of [hat, crash]) expect(bright).toBeGreaterThan(5_000)
  })
  it('lets an open hi-hat ring', () => expect(hitSound(2, 46, RATE).length).toBeGreaterThan(3 * hitSound(2, 42, RATE).length))
  it('sounds the same each time', () => expect(hitSound(1, 38, RATE)).toEqual(hitSound(1, 38, RATE)))
})

it('plays harder hits louder', () => {
  expect([loudness(0), loudness(127)]).toEqual([0, 1])
  expect(loudness(64)).toBeLessThan(0.5)
})
