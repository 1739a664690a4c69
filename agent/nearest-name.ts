export interface Near {
  readonly name: string
  /** So many letters are to be put in, taken out or replaced. */
  readonly edits: number
}

/** Which of these names, of which there must be one, somebody may have meant. */
export function nearestName(meant: string, names: readonly string[]): Near {
  const byEdits = names.map((name) => ({ name, edits: editsBetween(meant, name) }))
  return byEdits.reduce((best, other) => (other.edits < best.edits ? other : best))
}

/** The distance of Levenshtein (1966), a row of the table at a time. */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (const [index, letter] of Array.from(from).entries()) {
    const above = row
    row = [index + 1]
    for (const [column, other] of Array.from(to).entries()) {
      const kept = (above[column] ?? 0) + (letter === other ? 0 : 1)
      row.push(Math.min(kept, (above[column + 1] ?? 0) + 1, (row[column] ?? 0) + 1))
    }
  }
  return row.at(-1) ?? 0
}
