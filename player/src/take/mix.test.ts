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
  it('mutes the others of a solo', () => {
    expect(mixQuery({ ...stems, bass: { ...PLAIN, solo: true } }, 'x', null).toString()).toBe('separation=x&vocals=mute&drums=mute')
  })
  it('asks for a part', () => expect(mixQuery({}, 'x', { start: 1, end: 2.5 }).toString()).toBe('separation=x&start=1.0000&end=2.5000'))
})

describe('what a file will lack', () => {
  it('is nothing for volumes, mutes and solos', () => expect(unsaid(still, { ...stems, drums: { ...PLAIN, gain: 3, solo: true } })).toBe(''))
  it('is named, but not where it is not heard', () => {
    const bent = { ...PLAIN, pan: 1, eq: { low: 3, mid: 0, high: 0 } }
    expect(unsaid(still, { ...stems, drums: bent })).toContain('pan and the equalisers stay in the player')
    expect(unsaid(still, { ...stems, drums: { ...bent, mute: true } })).toBe('')
    expect(unsaid({ ...still, speed: 0.8 }, stems)).toContain('speed stays')
  })
})

it('tells a mix in words', () => {
  expect(mixWords(stems, decibels)).toBe('All stems as they are')
  expect(mixWords({ ...stems, vocals: { ...PLAIN, mute: true }, drums: { ...PLAIN, gain: -3 } }, decibels)).toBe('Without vocals; drums −3 dB')
  expect(mixWords({ ...stems, bass: { ...PLAIN, solo: true } }, decibels)).toBe('Only bass')
  expect(mixWords({ bass: { ...PLAIN, mute: true } }, decibels)).toBe('Nothing is heard')
})
