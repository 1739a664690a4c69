/** What goes over the air first when the link is back, and loses its bodies last; of one lane the oldest. */
export const lanes = ['high', 'normal', 'low'] as const
export type Lane = (typeof lanes)[number]
