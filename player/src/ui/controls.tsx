/** Buttons, sliders and switches as the page has them. */

import { Slider as BaseSlider } from '@base-ui/react/slider'
import { Switch as BaseSwitch } from '@base-ui/react/switch'
import { ChevronDown } from 'lucide-react'
import type { ComponentProps, CSSProperties, MouseEvent, ReactNode } from 'react'

const KINDS = {
  solid: 'bg-accent text-on-accent hover:opacity-88 font-medium',
  outline: 'border border-strong bg-surface hover:bg-raised hover:border-faint font-medium',
  plain: 'text-soft hover:text-ink hover:bg-line/60',
  bad: 'border border-bad/40 text-bad hover:bg-bad/10 font-medium',
} as const
const BASE =
  'inline-flex items-center justify-center gap-2 rounded-full whitespace-nowrap select-none transition-colors disabled:opacity-45 disabled:cursor-default'

interface Look {
  kind?: keyof typeof KINDS
  size?: 'small' | 'normal' | 'icon'
}

/** The look of a field for text. */
export const FIELD = 'h-10 w-full rounded-lg border border-strong bg-surface px-3 transition-colors hover:border-faint focus-visible:outline-offset-0'

const SIZES = { small: 'h-8 px-3 text-sm', normal: 'h-10 px-4.5', icon: 'size-10' }

export function look({ kind = 'plain', size = 'normal' }: Look = {}): string {
  return `${BASE} ${KINDS[kind]} ${SIZES[size]}`
}

export function Button({ kind, size, className = '', ...rest }: Look & ComponentProps<'button'>) {
  return <button type="button" className={`${look({ ...(kind && { kind }), ...(size && { size }) })} ${className}`} {...rest} />
}

/** Lets go of the keyboard after a click by mouse or finger, so that the space bar plays again. */
function release(event: MouseEvent<HTMLButtonElement>): void {
  if (event.detail > 0) event.currentTarget.blur()
}

interface ToggleProps extends Omit<ComponentProps<'button'>, 'aria-pressed'> {
  on: boolean
  colour?: string
  quiet?: boolean // shows that it is down by no more than a shade
}

/** A key that stays down. */
export function Toggle({ on, colour = 'var(--ink)', quiet = false, className = '', onClick, ...rest }: ToggleProps) {
  return (
    <button
      type="button"
      aria-pressed={on}
      data-on={on || undefined}
      style={{ '--tone': colour } as CSSProperties}
      onClick={(event) => {
        onClick?.(event)
        release(event)
      }}
      className={`inline-flex items-center justify-center rounded-lg border border-transparent text-soft transition-colors select-none hover:bg-line/70 hover:text-ink disabled:opacity-40 ${quiet ? 'data-on:bg-line data-on:text-ink' : 'data-on:bg-(--tone) data-on:text-canvas'} ${className}`}
      {...rest}
    />
  )
}

/** A button of the transport: gives the keyboard back like a key of an instrument. */
export function Key({ onClick, className = '', ...rest }: ComponentProps<'button'>) {
  return (
    <button
      type="button"
      onClick={(event) => {
        onClick?.(event)
        release(event)
      }}
      className={`inline-flex size-10 shrink-0 items-center justify-center rounded-full text-soft transition-colors select-none hover:bg-line/60 hover:text-ink disabled:opacity-40 ${className}`}
      {...rest}
    />
  )
}

interface SliderProps {
  label: string
  value: number
  onChange: (value: number) => void
  min: number
  max: number
  step: number
  text: string // the value in words
  rest?: number // where a double click puts it, and where a drag stays for a moment
  origin?: number // where the coloured part begins
  colour?: string
  vertical?: boolean
  className?: string
}

/** A fader; a double click puts it back to rest. */
export function Slider(props: SliderProps) {
  const { label, value, onChange, min, max, step, text, rest, origin = min, colour = 'var(--ink)', vertical = false, className = '' } = props
  const hold = rest === undefined ? 0 : (max - min) / 100
  const part = (at: number) => ((at - min) / (max - min)) * 100
  const [low, high] = [Math.min(part(value), part(origin)), Math.max(part(value), part(origin))]
  const span = vertical ? { bottom: `${low}%`, height: `${high - low}%` } : { left: `${low}%`, width: `${high - low}%` }
  return (
    <BaseSlider.Root
      value={value}
      onValueChange={(next, { reason }) => onChange(reason !== 'keyboard' && rest !== undefined && Math.abs(next - rest) < hold ? rest : next)}
      min={min}
      max={max}
      step={step}
      largeStep={step * 10}
      orientation={vertical ? 'vertical' : 'horizontal'}
      className={className}
      onDoubleClick={() => rest !== undefined && onChange(rest)}
    >
      <BaseSlider.Control className={`group flex touch-none items-center select-none ${vertical ? 'h-full w-8 justify-center' : 'h-8 w-full'}`}>
        <BaseSlider.Track className={`relative rounded-full bg-strong/70 ${vertical ? 'h-full w-1' : 'h-1 w-full'}`}>
          <div className={`absolute rounded-full ${vertical ? 'w-full' : 'h-full'}`} style={{ ...span, background: colour }} />
          <BaseSlider.Thumb
            aria-label={label}
            getAriaValueText={() => text}
            className="size-3.5 rounded-full border-2 border-surface bg-ink shadow-sm transition-transform group-hover:scale-110 has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-ink"
          />
        </BaseSlider.Track>
      </BaseSlider.Control>
    </BaseSlider.Root>
  )
}

interface SelectProps extends Omit<ComponentProps<'select'>, 'onChange'> {
  options: readonly (readonly [value: string, text: string])[]
  onChange: (value: string) => void
}

/** One of some choices, folded away. */
export function Select({ options, onChange, className = '', ...rest }: SelectProps) {
  return (
    <span className="relative inline-flex">
      <select onChange={(event) => onChange(event.target.value)} className={`appearance-none truncate pr-10! ${className}`} {...rest}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      <ChevronDown size={16} aria-hidden className="pointer-events-none absolute top-1/2 right-3.5 -translate-y-1/2 text-faint" />
    </span>
  )
}

interface SwitchProps {
  label: ReactNode
  hint?: ReactNode
  on: boolean
  onChange: (on: boolean) => void
  disabled?: boolean
}

export function Switch({ label, hint, on, onChange, disabled = false }: SwitchProps) {
  return (
    <label className={`flex items-start gap-3 ${disabled ? 'opacity-50' : ''}`}>
      <BaseSwitch.Root
        checked={on}
        onCheckedChange={onChange}
        disabled={disabled}
        className="mt-0.5 flex h-5.5 w-9.5 shrink-0 rounded-full bg-strong p-0.5 transition-colors data-checked:bg-accent"
      >
        <BaseSwitch.Thumb className="size-4.5 rounded-full bg-raised shadow-sm transition-transform data-checked:translate-x-4 data-checked:bg-on-accent" />
      </BaseSwitch.Root>
      <span>
        {label}
        {hint && <span className="block text-sm text-faint">{hint}</span>}
      </span>
    </label>
  )
}

/** One of a few choices, all in sight. */
export function Segments<T extends string>(props: {
  label: string
  value: T
  options: readonly (readonly [T, string])[]
  onChange: (value: T) => void
  title?: string
  className?: string
}) {
  const { label, value, options, onChange, title, className = '' } = props
  return (
    <div role="group" aria-label={label} title={title} className={`inline-flex rounded-full bg-line/70 p-0.5 text-sm ${className}`}>
      {options.map(([name, text]) => (
        <button
          key={name}
          type="button"
          aria-pressed={name === value}
          onClick={(event) => {
            onChange(name)
            release(event)
          }}
          className="h-7 rounded-full px-3 text-soft pointer-coarse:h-9 transition-colors hover:text-ink aria-pressed:bg-raised aria-pressed:font-medium aria-pressed:text-ink aria-pressed:shadow-sm"
        >
          {text}
        </button>
      ))}
    </div>
  )
}

/** How far something is. `value` is percent; null while nobody knows. */
export function Progress({ label, value, className = '' }: { label: string; value: number | null; className?: string }) {
  const known = value === null ? {} : { 'aria-valuenow': Math.round(value) }
  return (
    <div role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} {...known} className={`h-1 overflow-hidden rounded-full bg-line ${className}`}>
      <div
        className={`h-full origin-left rounded-full bg-ink transition-transform duration-300 ${value === null ? 'animate-pulse' : ''}`}
        style={{ transform: `scaleX(${(value ?? 100) / 100})` }}
      />
    </div>
  )
}
