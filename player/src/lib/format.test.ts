import { describe, expect, it } from 'vitest'
import { bytes, clock, count, decibels, label, lasting, left, listed, panned, shortKey, signed } from './format'

describe('clock', () => {
  it.each([
    [0, '0:00'],
    [59.999, '0:59'],
    [185, '3:05'],
    [3729, '1:02:09'],
    [-3, '0:00'],
  ])('shows %f seconds as %s', (seconds, text) => expect(clock(seconds)).toBe(text))

  it('shows tenths without rounding up into the next second', () => {
    expect(clock(185.27, true)).toBe('3:05.2')
    expect(clock(59.99, true)).toBe('0:59.9')
    expect(clock(0.3, true)).toBe('0:00.3')
  })
})

it.each([
  [3, 'a few seconds'],
  [41, '40 seconds'],
  [70, 'about a minute'],
  [170, 'about 3 minutes'],
  [3600, 'about an hour'],
  [5400, 'about 1.5 hours'],
])('says that %f seconds are %s', (seconds, text) => expect(lasting(seconds)).toBe(text))

it.each([
  [0.2, 'nearly done'],
  [11.2, '12 s left'],
  [200, '3 min left'],
])('counts %f seconds down as %s', (seconds, text) => expect(left(seconds)).toBe(text))

it.each([
  [12, '12 bytes'],
  [6_100_000, '6.1 MB'],
  [999_600, '1 MB'],
  [503_000_000, '503 MB'],
])('shows %d bytes as %s', (value, text) => expect(bytes(value)).toBe(text))

it.each([
  [0, '0 dB'],
  [-3.45, '−3.4 dB'],
  [6, '+6 dB'],
  [-60, '−∞ dB'],
])('shows %f dB as %s', (value, text) => expect(decibels(value)).toBe(text))

it('gives numbers their sign', () => expect([-66.2, 0, 2].map(signed)).toEqual(['−66.2', '0', '+2']))

it('names places, stems, counts, lists and keys', () => {
  expect([panned(0), panned(-0.3), panned(1)]).toEqual(['centre', '30 % left', '100 % right'])
  expect(label('no_vocals')).toBe('No vocals')
  expect([count(1, 'song'), count(2, 'song')]).toEqual(['1 song', '2 songs'])
  expect([listed([]), listed(['a']), listed(['a', 'b', 'c'])]).toEqual(['', 'a', 'a, b and c'])
  expect([shortKey('B minor'), shortKey('Bb major'), shortKey('F# minor')]).toEqual(['Bm', 'B♭', 'F♯m'])
})
