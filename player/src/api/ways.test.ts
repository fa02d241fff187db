import { describe, expect, it } from 'vitest'
import type { Model, Strategy } from './client'
import { defaultWay, needOf, timeOf, waysFor, waysOf } from './ways'

const model = (name: string, more: Partial<Model> = {}): Model => ({
  name,
  family: 'demucs',
  summary: 'quick and old',
  stems: ['vocals', 'accompaniment'],
  licence: 'MIT',
  draft: false,
  sdr: null,
  download_bytes: 0,
  publishers: [],
  statements: [],
  availability: 'ready',
  seconds_per_second: null,
  ...more,
})
const strategy = (name: string, more: Partial<Strategy> = {}): Strategy => ({
  name,
  origin: 'built in',
  summary: 'a tree of ours',
  quality: '',
  speed: '',
  stems: ['vocals', 'drums'],
  state: 'ready',
  models: [{ name: 'htdemucs', state: 'ready', download_bytes: 0 }],
  download_bytes: 0,
  tree: {},
  seconds_per_second: null,
  ...more,
})
const models = { default: 'sketch', items: [model('sketch', { family: 'sketch', draft: true }), model('htdemucs')] }
const sketched = { models: [{ name: 'sketch', state: 'ready' as const, download_bytes: 0 }] }

describe('the ways of a studio', () => {
  const ways = waysOf([strategy('mine'), strategy('best'), strategy('fast', sketched)], models)
  it('are its presets, its own strategies, its models', () => {
    expect(ways.map((way) => way.title)).toEqual(['Draft', 'Finest', 'mine', 'sketch', 'htdemucs'])
    expect(ways.map((way) => way.gives)).toContain('A tree of ours.')
  })
  it('are drafts where one of their models gives one', () => {
    expect(ways.map((way) => way.draft)).toEqual([true, false, false, true, false])
  })
})

it('puts models that are here first, and finds them by name and stem', () => {
  const many = [model('a.pth', { availability: 'missing' }), model('b_Karaoke.pth', { availability: 'download', stems: ['no_vocals'] }), model('c.ckpt')]
  const ways = waysOf([strategy('fast', sketched)], { default: 'c.ckpt', items: many })
  expect(ways.map((way) => way.title)).toEqual(['Draft', 'c.ckpt', 'b_Karaoke.pth', 'a.pth'])
  expect(waysFor(ways, 'karaoke').map((way) => way.title)).toEqual(['b_Karaoke.pth'])
  expect(waysFor(ways, 'PTH no vocals').map((way) => way.title)).toEqual(['b_Karaoke.pth'])
  expect(waysFor(ways, '')).toEqual(ways)
  expect(waysFor(ways, 'theremin')).toEqual([])
})

it('says what a way needs', () => {
  const [ready, load, gone, some] = waysOf(
    [strategy('a'), strategy('b', { state: 'download', download_bytes: 84e6 }), strategy('c', { state: 'missing' }), strategy('d', { state: 'download' })],
    models,
  ).map(needOf)
  expect([ready, load, some]).toEqual(['', 'Downloads 84 MB once', 'Downloads its weights once'])
  expect(gone).toContain('Not installed')
})

it('tells the time as it was measured here, else as it is elsewhere', () => {
  const [fine, slow] = waysOf([strategy('balanced'), strategy('best', { seconds_per_second: 6 })], models)
  expect([fine && timeOf(fine, 200), slow && timeOf(slow, 200)]).toEqual(['about 2 minutes', 'about 20 minutes'])
})

it('tells licence and published quality of a model', () => {
  const [way] = waysOf([], { default: 'a', items: [model('a', { licence: 'publishers differ', sdr: '8.8' })] })
  expect(way?.facts).toBe('Licence: publishers differ · SDR 8.8 dB')
})

it('begins with the fine way where it is here or can be had, else with the best that is here', () => {
  const fast = strategy('fast', sketched)
  expect(defaultWay(waysOf([fast, strategy('balanced')], models))?.strategy).toBe('balanced')
  expect(defaultWay(waysOf([fast, strategy('balanced', { state: 'download' })], models))?.strategy).toBe('balanced')
  const without = strategy('balanced', { state: 'missing' })
  expect(defaultWay(waysOf([fast, strategy('quick'), without], models))?.strategy).toBe('quick')
  expect(defaultWay(waysOf([fast, without], models))?.strategy).toBe('fast')
  expect(defaultWay([])).toBeUndefined()
})
