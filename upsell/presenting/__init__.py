"""An offer as a page or a mail shows it: values and rows in, plain values out."""
