import { expect, it } from 'vitest'
import { roleOf, stemOfFile } from './roles'

it.each([
  ['1_My Drum Song_(Vocals).wav', 'vocals'],
  ['1_My Drum Song_(Instrumental)_UVR-MDX-NET.flac', 'instrumental'],
  ['01 Voices (Live)_(No Vocals)_htdemucs.wav', 'no_vocals'],
  ['[The Drum] bass.wav', 'bass'],
  ['Sing It - Drums.flac', 'drums'],
  ['VOCALS.WAV', 'vocals'],
  ['Bass Face (Bass Boosted) - Drums.wav', 'drums'],
  ['Lead Vocals.wav', 'lead_vocals'],
])('knows the stem of %s', (file, stem) => expect(stemOfFile(file)).toBe(stem))

it.each([
  ['vocals', 'vocals'],
  ['no_vocals', 'rest'],
  ['drumless', 'rest'],
  ['instrumental', 'rest'],
  ['Kick In', 'drums'],
  ['guitar', 'guitar'],
  ['synth', 'other'],
])('takes %s for %s', (name, role) => expect(roleOf(name)).toBe(role))

it.each([
  ['My Song - Drums.wav', 'drums'],
  ['vox.flac', 'vocals'],
  ['Bassment Jaxx - Synth Pad.wav', 'synth_pad'],
  ['no_vocals.mp3', 'no_vocals'],
  ['Night Drive - 08 FX riser.wav', 'fx_riser'],
  ['3_4 Time - 12.wav', '12'],
  ['ピアノ.wav', 'ピアノ'],
  ['.wav', 'other'],
])('calls the stem of %s %s', (file, stem) => expect(stemOfFile(file)).toBe(stem))
