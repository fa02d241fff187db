import { describe, expect, it } from 'vitest'
import { PLAIN } from '../engine/types'
import { decibels } from '../lib/format'
import { mixQuery, mixWords, unsaid } from './mix'

const stems = { vocals: PLAIN, drums: PLAIN, bass: PLAIN }
const still = { speed: 1, pitch: 0, volume: 0 }

describe('the request for a mix', () => {
  it('names only what was changed', () => expect(mixQuery(stems, 'x', null).toString()).toBe('separation=x'))
  it('gives gains in dB, and mutes what is silent', () => {
    const query = mixQuery({ ...stems, vocals: { ...PLAIN, mute: true }, drums: { ...PLAIN, gain: -3.5 }, bass: { ...PLAIN, gain: -60 } }, 'x', null)
    expect(query.toString()).toBe('separation=x&vocals=mute&drums=-3.5&bass=mute')
  })
  it('gives balances and equalisers of what is heard', () => {
    const bent = { ...PLAIN, pan: -0.255, eq: { low: 3, mid: 0, high: -2.5 } }
    expect([...mixQuery({ vocals: bent, drums: { ...bent, mute: true } }, 'x', null)]).toEqual([
      ['separation', 'x'],
      ['pan.vocals', '-0.25'],
      ['eq.vocals', '3,0,-2.5'],
      ['drums', 'mute'],
    ])
  })
  it('mutes the others of a solo', () => {
    expect(mixQuery({ ...stems, bass: { ...PLAIN, solo: true } }, 'x', null).toString()).toBe('separation=x&vocals=mute&drums=mute')
  })
  it('asks for a part', () => expect(mixQuery({}, 'x', { start: 1, end: 2.5 }).toString()).toBe('separation=x&start=1.0000&end=2.5000'))
})

describe('what a file will lack', () => {
  it('is nothing for what is set at the stems', () => expect(unsaid(still)).toBe(''))
  it('is named', () => {
    expect(unsaid({ ...still, speed: 0.8 })).toContain('speed stays')
    expect(unsaid({ ...still, pitch: 2, volume: -3 })).toContain('pitch and the master volume stay')
  })
})

it('tells a mix in words', () => {
  expect(mixWords(stems, decibels)).toBe('All stems as they are')
  expect(mixWords({ ...stems, vocals: { ...PLAIN, mute: true }, drums: { ...PLAIN, gain: -3 } }, decibels)).toBe('Without vocals; drums −3 dB')
  expect(mixWords({ ...stems, bass: { ...PLAIN, solo: true } }, decibels)).toBe('Only bass')
  expect(mixWords({ bass: { ...PLAIN, mute: true } }, decibels)).toBe('Nothing is heard')
})
