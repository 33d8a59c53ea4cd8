"""The monthly recurring revenue, kept as a sum (docs/decisions/0033-revenue-kept-as-a-sum.md)."""
