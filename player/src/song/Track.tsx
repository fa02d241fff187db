/** A stem: its fader, its keys, its waveform. */

import { SlidersVertical } from 'lucide-react'
import { useEffect, useRef, type CSSProperties, type ReactNode } from 'react'
import { usePeaks } from '../api/queries'
import { isHeard } from '../engine/settings'
import { PLAIN, type StemSettings } from '../engine/types'
import { decibels, label, panned, SILENT } from '../lib/format'
import { colourOf } from '../lib/roles'
import { Button, Slider, Toggle } from '../ui/controls'
import { Popover } from '../ui/surfaces'
import { isEven } from './memory'
import { useMix } from './mixer'
import type { PlayedStem } from './source'
import { Waveform } from './Waveform'
import type { View } from './view'

interface Props {
  stem: PlayedStem
  number: number
  view: View
  width: number
  height: number
  scale: number
  chosen: boolean
  onChoose: () => void
  children?: ReactNode // below the waveform
}

export function Track({ stem, number, view, width, height, scale, chosen, onChoose, children }: Props) {
  const { state } = useMix()
  const { stems } = state
  const { data: peaks } = usePeaks(stem.peaks)
  const heard = isHeard(stems, stem.name)
  return (
    <section
      aria-label={label(stem.name)}
      data-chosen={chosen || undefined}
      onPointerDown={onChoose}
      className="grid border-b border-line last:border-b-0 lg:grid-cols-[var(--head)_1fr]"
    >
      <Strip stem={stem.name} number={number} settings={stems[stem.name] ?? PLAIN} chosen={chosen} disabled={state.status === 'failed'} height={height + 12} />
      <div className="relative min-w-0">
        <div data-wave className="touch-pan-y py-1.5">
          <Waveform peaks={peaks} view={view} width={width} height={height} scale={scale} colour={colourOf(stem.name)} faded={!heard} />
        </div>
        {children}
      </div>
    </section>
  )
}

interface StripProps {
  stem: string
  number: number
  settings: StemSettings
  chosen: boolean
  disabled: boolean
  height: number
}

function Strip({ stem, number, settings, chosen, disabled, height }: StripProps) {
  const { setStem } = useMix()
  const name = label(stem)
  const colour = colourOf(stem)
  return (
    <div className={`relative z-10 bg-canvas transition-colors lg:border-r lg:border-line ${chosen ? 'lg:bg-surface' : ''}`}>
      <div
        className="grid grid-cols-[5rem_1fr_auto] content-center items-center gap-x-3 px-1 pt-2 lg:h-(--tall) lg:grid-cols-[1fr_auto] lg:gap-y-1 lg:py-0 lg:pr-5 lg:pl-4"
        style={{ '--tall': `${height}px` } as CSSProperties}
      >
        <div className="flex min-w-0 items-center gap-2">
          <span aria-hidden className="size-2.5 shrink-0 rounded-full" style={{ background: colour }} />
          <h2 className="truncate font-medium">{name}</h2>
          <kbd aria-hidden className="hidden font-sans text-xs text-faint lg:inline">
            {number <= 8 ? number : ''}
          </kbd>
        </div>
        <div className="flex gap-1 max-lg:order-1">
          <StripToggle on={settings.mute} text="M" title={`Mute ${name}`} disabled={disabled} onClick={() => setStem(stem, { mute: !settings.mute })} />
          <StripToggle on={settings.solo} text="S" title={`Solo ${name}`} colour={colour} disabled={disabled} onClick={() => setStem(stem, { solo: !settings.solo })} />
          <Shape stem={stem} name={name} settings={settings} colour={colour} />
        </div>
        <div className="flex items-center gap-3 lg:col-span-2">
          <Slider
            label={`Volume of ${name}`}
            value={settings.gain}
            onChange={(gain) => setStem(stem, { gain })}
            min={SILENT}
            max={12}
            step={0.5}
            rest={0}
            text={decibels(settings.gain)}
            colour={colour}
            className="grow"
          />
          <span aria-hidden className="tabular w-14 shrink-0 text-right text-xs text-faint max-lg:hidden">
            {decibels(settings.gain)}
          </span>
        </div>
        <div className="order-2 col-span-full">
          <Meter stem={stem} colour={colour} />
        </div>
      </div>
    </div>
  )
}

interface StripToggleProps {
  on: boolean
  text: string
  title: string
  colour?: string
  disabled: boolean
  onClick: () => void
}

function StripToggle({ text, title, ...rest }: StripToggleProps) {
  return (
    <Toggle aria-label={title} title={title} className="size-9 text-xs font-semibold lg:size-7" {...rest}>
      {text}
    </Toggle>
  )
}

/** Pan and equaliser, folded away. */
function Shape({ stem, name, settings, colour }: { stem: string; name: string; settings: StemSettings; colour: string }) {
  const { setStem } = useMix()
  const used = settings.pan !== 0 || !isEven(settings.eq)
  const bands = [
    ['low', 'Low', '250 Hz'],
    ['mid', 'Mid', '1 kHz'],
    ['high', 'High', '4 kHz'],
  ] as const
  const trigger = (
    <button
      type="button"
      aria-label={`Pan and equaliser of ${name}`}
      title="Pan and equaliser"
      className="relative inline-flex size-9 items-center justify-center rounded-lg text-soft transition-colors hover:bg-line/70 hover:text-ink lg:size-7"
    >
      <SlidersVertical size={15} aria-hidden />
      {used && <span className="absolute top-0.5 right-0.5 size-1.5 rounded-full" style={{ background: colour }} />}
    </button>
  )
  return (
    <Popover trigger={trigger} label={`Pan and equaliser of ${name}`}>
      <div className="w-60">
        <p className="flex justify-between text-sm">
          <span>Pan</span> <span className="tabular text-faint">{panned(settings.pan)}</span>
        </p>
        <Slider
          label={`Pan of ${name}`}
          value={settings.pan}
          onChange={(pan) => setStem(stem, { pan })}
          min={-1}
          max={1}
          step={0.01}
          rest={0}
          origin={0}
          text={panned(settings.pan)}
          colour={colour}
        />
        <div className="mt-3 grid grid-cols-3 gap-2 text-center text-sm">
          {bands.map(([band, text, where]) => (
            <div key={band} className="flex flex-col items-center gap-1.5">
              <span className="tabular text-xs text-faint">{decibels(settings.eq[band])}</span>
              <div className="h-28">
                <Slider
                  vertical
                  label={`${text} of ${name}`}
                  value={settings.eq[band]}
                  onChange={(value) => setStem(stem, { eq: { ...settings.eq, [band]: value } })}
                  min={-24}
                  max={12}
                  step={0.5}
                  rest={0}
                  origin={0}
                  text={decibels(settings.eq[band])}
                  colour={colour}
                  className="h-full"
                />
              </div>
              <span title={where}>{text}</span>
            </div>
          ))}
        </div>
        <Button size="small" className="mt-3 w-full" disabled={!used} onClick={() => setStem(stem, { pan: 0, eq: PLAIN.eq })}>
          Back to flat
        </Button>
      </div>
    </Popover>
  )
}

const FLOOR = -60 // dB, where a meter begins

/** How much of a meter a level fills. */
export const filled = (db: number): number => Math.max(0, Math.min(1, (db - FLOOR) / -FLOOR))

export function Meter({ stem, colour }: { stem: string; colour: string }) {
  const { frames } = useMix()
  const rms = useRef<HTMLDivElement>(null)
  const peak = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let [held, level] = [0, 0]
    return frames.add((_, levels) => {
      const now = levels[stem]
      held = Math.max(filled(now?.peak ?? FLOOR), held - 0.012)
      level = Math.max(filled(now?.rms ?? FLOOR), level - 0.03)
      if (rms.current) rms.current.style.transform = `scaleX(${level})`
      if (peak.current) peak.current.style.transform = `translateX(${held * 100}%)`
    })
  }, [frames, stem])
  return (
    <div aria-hidden className="relative h-0.75 overflow-hidden rounded-full bg-line">
      <div ref={rms} className="h-full origin-left rounded-full" style={{ background: colour, transform: 'scaleX(0)' }} />
      <div ref={peak} className="absolute inset-0">
        <div className="-ml-0.5 h-full w-0.5" style={{ background: colour }} />
      </div>
    </div>
  )
}
