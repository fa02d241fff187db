/** A receipt in plain words. */

import type { Receipt } from '../api/queries'
import { clock, signed } from '../lib/format'

const IMPORTED = 'imported'

/** `Separated by htdemucs on cpu in 2:10.` and what else is worth knowing, a sentence each. */
export function receiptWords(receipt: Receipt): string[] {
  return [madeBy(receipt), leftOver(receipt), turned(receipt), ...receipt.warnings.map((one) => plain(one.message))].filter(Boolean)
}

function madeBy({ model, device, elapsed }: Receipt): string {
  if (model.name === IMPORTED) return 'These stems were imported; nothing was separated.'
  const time = elapsed === undefined ? '' : elapsed < 60 ? ` in ${Math.max(1, Math.round(elapsed))} s` : ` in ${clock(elapsed)}`
  return `Separated by ${model.name}${device ? ` on ${device}` : ''}${time}.`
}

function leftOver({ residual_db: residual, residual_added_to: rest }: Receipt): string {
  if (residual === null) return ''
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
