/** What opens above the page: dialogs, menus, pop-ups; and notes that pass. */

import { Dialog as BaseDialog } from '@base-ui/react/dialog'
import { Menu as BaseMenu } from '@base-ui/react/menu'
import { Popover as BasePopover } from '@base-ui/react/popover'
import { X } from 'lucide-react'
import type { ReactElement, ReactNode } from 'react'
import { createStore, useStore } from '../lib/store'
import { look } from './controls'

const FADE = 'transition-[opacity,transform] duration-150 data-starting-style:opacity-0 data-ending-style:opacity-0'

interface DialogProps {
  open: boolean
  onClose: () => void
  title: string
  children: ReactNode
  wide?: boolean
}

/** A dialog in the middle; on a phone a sheet from below. */
export function Dialog({ open, onClose, title, children, wide = false }: DialogProps) {
  return (
    <BaseDialog.Root open={open} onOpenChange={(now) => !now && onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className={`fixed inset-0 z-40 bg-black/45 backdrop-blur-[2px] ${FADE}`} />
        <BaseDialog.Popup
          className={`fixed z-50 flex max-h-[88dvh] flex-col bg-surface shadow-float max-sm:inset-x-0 max-sm:bottom-0 max-sm:rounded-t-2xl max-sm:data-starting-style:translate-y-6 sm:top-1/2 sm:left-1/2 sm:w-[min(92vw,var(--w))] sm:-translate-x-1/2 sm:-translate-y-1/2 sm:rounded-2xl sm:border sm:border-line ${wide ? '[--w:44rem]' : '[--w:28rem]'} ${FADE}`}
        >
          <header className="flex items-center justify-between gap-4 px-6 pt-5 pb-2">
            <BaseDialog.Title className="text-lg font-semibold tracking-tight">{title}</BaseDialog.Title>
            <BaseDialog.Close className={`${look({ size: 'icon' })} -mr-2`} aria-label="Close">
              <X size={18} aria-hidden />
            </BaseDialog.Close>
          </header>
          <div className="overflow-y-auto overscroll-contain px-6 pt-2 pb-6">{children}</div>
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  )
}

export interface Item {
  readonly text: string
  readonly icon?: ReactNode
  readonly onSelect: () => void
  readonly bad?: boolean
  readonly disabled?: boolean
}

export function Menu({ trigger, items }: { trigger: ReactElement; items: readonly Item[] }) {
  return (
    <BaseMenu.Root modal={false}>
      <BaseMenu.Trigger render={trigger} />
      <BaseMenu.Portal>
        <BaseMenu.Positioner sideOffset={6} align="end" className="z-50">
          <BaseMenu.Popup className={`min-w-48 rounded-xl border border-line bg-raised p-1.5 shadow-float outline-none ${FADE}`}>
            {items.map((item) => (
              <BaseMenu.Item
                key={item.text}
                disabled={item.disabled ?? false}
                onClick={item.onSelect}
                className={`flex h-9 cursor-pointer items-center gap-3 rounded-lg px-3 outline-none select-none data-disabled:cursor-default data-disabled:opacity-45 data-highlighted:bg-line/70 ${item.bad ? 'text-bad' : ''}`}
              >
                {item.icon}
                {item.text}
              </BaseMenu.Item>
            ))}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  )
}

export function Popover({ trigger, label, children }: { trigger: ReactElement; label: string; children: ReactNode }) {
  return (
    <BasePopover.Root>
      <BasePopover.Trigger render={trigger} />
      <BasePopover.Portal>
        <BasePopover.Positioner sideOffset={8} collisionPadding={12} className="z-50">
          <BasePopover.Popup aria-label={label} className={`rounded-xl border border-line bg-raised p-4 shadow-float outline-none ${FADE}`}>
            {children}
          </BasePopover.Popup>
        </BasePopover.Positioner>
      </BasePopover.Portal>
    </BasePopover.Root>
  )
}

interface Note {
  readonly id: number
  readonly text: string
  readonly bad: boolean
}

const notes = createStore<readonly Note[]>([])
let lastNote = 0

/** Says something in passing. */
export function say(text: string, { bad = false } = {}): void {
  lastNote += 1
  const note = { id: lastNote, text, bad }
  notes.set((all) => [...all.slice(-2), note])
  setTimeout(() => dismiss(note.id), bad ? 9_000 : 4_500)
}

function dismiss(id: number): void {
  notes.set((all) => all.filter((one) => one.id !== id))
}

export function Notes() {
  const all = useStore(notes)
  return (
    <div role="status" className="pointer-events-none fixed inset-x-0 bottom-24 z-50 flex flex-col items-center gap-2 px-4">
      {all.map((note) => (
        <div key={note.id} className={`pointer-events-auto flex max-w-lg items-center gap-3 rounded-xl border bg-raised py-2 pr-2 pl-4 shadow-float ${note.bad ? 'border-bad/50 text-bad' : 'border-line'}`}>
          <span>{note.text}</span>
          <button type="button" aria-label="Dismiss" onClick={() => dismiss(note.id)} className="flex size-7 items-center justify-center rounded-full text-faint hover:text-ink">
            <X size={15} aria-hidden />
          </button>
        </div>
      ))}
    </div>
  )
}
