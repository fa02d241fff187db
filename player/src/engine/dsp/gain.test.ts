import { describe, expect, it } from 'vitest'
import { amplitude, balance, decibels, Ramp, SILENT } from './gain'

describe('gains', () => {
  it('are exact where nothing is to change, and where nothing is to be heard', () => {
    expect(amplitude(0)).toBe(1)
    expect(amplitude(SILENT)).toBe(0)
    expect(amplitude(-100)).toBe(0)
  })

  it('double the amplitude with 6.02 dB', () => {
    expect(amplitude(6.0206)).toBeCloseTo(2, 4)
    expect(decibels(amplitude(-13.5))).toBeCloseTo(-13.5, 10)
  })
})

describe('the balance law', () => {
  it('leaves both sides as they are at the centre', () => {
    expect(balance(0)).toEqual([1, 1])
  })

  it('turns down only the side that is turned away from', () => {
    expect(balance(1)).toEqual([0, 1])
    expect(balance(-1)).toEqual([1, 0])
    expect(balance(0.25)).toEqual([0.75, 1])
  })
})

describe('a ramp', () => {
  it('arrives exactly, in a straight line, and stays', () => {
    const ramp = new Ramp(0)
    ramp.to(0.7, 7)
    const values = Array.from({ length: 9 }, () => ramp.next())
    values.slice(0, 7).forEach((value, i) => expect(value).toBeCloseTo(0.1 * (i + 1), 12))
    expect(values.slice(6)).toEqual([0.7, 0.7, 0.7])
    expect(ramp.settled).toBe(true)
  })

  it('turns round from where it is', () => {
    const ramp = new Ramp(0)
    ramp.to(1, 10)
    for (let i = 0; i < 5; i++) ramp.next()
    ramp.to(0, 5)
    expect(ramp.next()).toBeCloseTo(0.4, 12)
  })

  it('goes on in its line when it is told the same target again', () => {
    const ramp = new Ramp(0)
    ramp.to(1, 4)
    ramp.next()
    ramp.to(1, 4)
    expect([ramp.next(), ramp.next(), ramp.next()]).toEqual([0.5, 0.75, 1])
  })

  it('touches no sample where it rests at 1', () => {
    const samples = Float32Array.of(0.1, -0.2, NaN)
    new Ramp(1).applyTo(samples, 3)
    expect([...samples]).toEqual([...Float32Array.of(0.1, -0.2, NaN)])
  })
})
