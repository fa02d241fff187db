import { expect, it } from 'vitest'
import type { Receipt } from '../api/queries'
import { receiptWords } from './receipt'

const receipt: Receipt = { model: { name: 'htdemucs', draft: false }, device: 'cpu', elapsed: 130, gain_db: 0, residual_db: -66.2, residual_added_to: 'other', warnings: [] }

it('says by what, where and how long', () => {
  expect(receiptWords(receipt)).toEqual(['Separated by htdemucs on cpu in 2:10.', 'What the model left over, residual −66 dB, went to “other”: the stems add up to the song.'])
})

it('says what was turned down and what to beware of', () => {
  const words = receiptWords({ ...receipt, elapsed: 7.4, gain_db: -1.5, residual_added_to: null, warnings: [{ code: 'draft', message: "sketch gives a draft. For a fine separation: pip install 'x'" }] })
  expect(words).toEqual([
    'Separated by htdemucs on cpu in 7 s.',
    'What the model left over, residual −66 dB, is in none of the stems.',
    'All stems were turned down by 1.5 dB, so that none clips.',
    'Sketch gives a draft.',
  ])
})

it('says of imported stems that nothing was separated', () => {
  expect(receiptWords({ model: { name: 'imported', draft: false }, gain_db: 0, residual_db: null, warnings: [] })).toEqual(['These stems were imported; nothing was separated.'])
})

it('names the models of a strategy, and calls nothing what nobody can hear', () => {
  const nodes = [{ model: 'htdemucs_ft' }, { model: 'hdemucs_mmi' }, { model: 'htdemucs_ft' }]
  const warnings = [{ code: 'draft', message: 'best gives a draft' }]
  expect(receiptWords({ ...receipt, model: { name: 'best', draft: true }, nodes, residual_db: -151.3, residual_added_to: null, warnings })).toEqual([
    'Separated by htdemucs_ft and hdemucs_mmi on cpu in 2:10.',
    'The stems add up to the song.',
    'This is a draft.',
  ])
})
