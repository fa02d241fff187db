/** A receipt in plain words. */

import type { Receipt } from '../api/queries'
import { clock, listed, signed } from '../lib/format'

const IMPORTED = 'imported'
const INAUDIBLE = -90 // dB

/** `Separated by htdemucs on cpu in 2:10.` and what else is worth knowing, a sentence each. */
export function receiptWords(receipt: Receipt): string[] {
  const warnings = receipt.warnings.map(({ message }) => plain(message.replace(`${receipt.model.name} gives`, 'this is')))
  return [madeBy(receipt), leftOver(receipt), turned(receipt), ...warnings].filter(Boolean)
}

/** The networks that were at work. */
function modelsOf({ model, nodes = [] }: Receipt): string {
  return listed([...new Set(nodes.map((node) => node.model))]) || model.name
}

function madeBy(receipt: Receipt): string {
  const { model, device, elapsed } = receipt
  if (model.name === IMPORTED) return 'These stems were imported; nothing was separated.'
  const time = elapsed === undefined ? '' : elapsed < 60 ? ` in ${Math.max(1, Math.round(elapsed))} s` : ` in ${clock(elapsed)}`
  return `Separated by ${modelsOf(receipt)}${device ? ` on ${device}` : ''}${time}.`
}

function leftOver({ residual_db: residual, residual_added_to: rest }: Receipt): string {
  if (residual === null) return ''
  if (residual < INAUDIBLE) return 'The stems add up to the song.'
  const level = `What the model left over, residual ${signed(Math.round(residual))} dB, `
  return rest ? `${level}went to “${rest}”: the stems add up to the song.` : `${level}is in none of the stems.`
}

function turned({ gain_db: gain }: Receipt): string {
  return gain < 0 ? `All stems were turned down by ${signed(-gain).replace('+', '')} dB, so that none clips.` : ''
}

/** A warning as a sentence, without what only a command line can do. */
function plain(message: string): string {
  const text = (message.split(' For a fine separation:')[0] ?? message).replace(/\.$/, '')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
