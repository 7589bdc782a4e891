"""int8 graphs: calibration, quantisation, and the search for layers that must stay in fp32."""
