/** What goes over the air first when the link is back; of one lane the oldest. */
export type Lane = 'high' | 'normal' | 'low'
