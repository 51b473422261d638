// Package sheet writes and reads CSV that people fill in with a spreadsheet.
//
// A cell that a spreadsheet would take for a formula is written with an apostrophe before it, and loses it when it is read
// (CWE-1236): what a model or a web page said is never run on somebody's desk. What begins with an apostrophe gets another
// one, so that every text comes back as it was. Longer texts than a cell holds are cut, and say so.
//
// Read takes what spreadsheets make of such a file: a byte order mark, semicolons or tabs for commas, columns moved, added,
// or in other case. Whatever else is wrong is an error that names file and line.
package sheet
