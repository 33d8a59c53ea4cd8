"""The monthly recurring revenue, kept as a sum (docs/decisions/0031-revenue-kept-as-a-sum.md)."""
