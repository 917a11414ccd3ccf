// Package audit is what replicas state about themselves and how it is judged:
// votes on outputs, records of state roots, the membership that says who
// counts, and the tally that finds what a majority agrees on.
//
// It is pure: statements are data, keys are arguments, and nothing here sends
// or receives.
package audit
