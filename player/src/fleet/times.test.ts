import { describe, expect, it } from 'vitest'
import { short } from './times'

describe('short', () => {
  it.each([
    [0, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [3_599, '59 min'],
    [7_200, '2 h'],
    [172_800, '2 d'],
  ])('shows %f seconds as %s', (seconds, text) => expect(short(seconds)).toBe(text))
})
