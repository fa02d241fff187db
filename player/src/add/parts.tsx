/** What the three forms have in common. */

import { X } from 'lucide-react'
import type { ReactNode } from 'react'
import { bytes } from '../lib/format'
import { unstage } from './staged'

/** A file that waits, and what goes with it. */
export function FileRow({ file, children, note }: { file: File; children?: ReactNode; note?: string | undefined }) {
  return (
    <li className="flex items-center gap-3 py-2.5">
      {children}
      <span className="min-w-0 grow">
        <span className="block truncate">{file.name}</span>
        <span className="tabular block text-sm text-faint">{[note, bytes(file.size)].filter(Boolean).join(' · ')}</span>
      </span>
      <button
        type="button"
        aria-label={`Leave out ${file.name}`}
        onClick={() => unstage(file)}
        className="flex size-8 shrink-0 items-center justify-center rounded-full text-faint transition-colors hover:bg-line/60 hover:text-ink"
      >
        <X size={16} aria-hidden />
      </button>
    </li>
  )
}

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="mt-8">
      <h2 className="mb-3 font-semibold tracking-tight">{title}</h2>
      {children}
    </section>
  )
}
