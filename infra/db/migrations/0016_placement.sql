-- Placement writes this file: until then the number is kept free, so that those after it can be applied.
SELECT 1;
