/** Decoded samples of one file, from any place on: FLAC where this browser decodes it, else WAV. */

import type { StemSource } from '../types'
import { FlacFrames } from './flacFrames'
import { FlacReader } from './flacReader'
import { RangeFile } from './range'
import type { Reader } from './reader'
import { WavReader } from './wav'

/** Open a stem. `FetchError`, `FormatError` where that cannot be. */
export async function openReader(source: StemSource, ended: AbortSignal): Promise<Reader> {
  if (typeof AudioDecoder !== 'undefined') {
    const file = new RangeFile(source.flac, ended)
    const frames = await FlacFrames.open(file)
    const { supported } = await AudioDecoder.isConfigSupported(FlacReader.config(frames.info))
    if (supported) return new FlacReader(frames, file.name)
  }
  return WavReader.open(new RangeFile(source.wav, ended))
}
