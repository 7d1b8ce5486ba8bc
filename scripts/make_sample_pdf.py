"""Writes samples/calibration-manual.pdf: three pages of a manual, the same bytes each time."""

from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

TARGET = Path(__file__).parent.parent / "samples" / "calibration-manual.pdf"
PAGES = {
    "Calibration manual for the LX-40 pressure sensor": """\
This manual tells how an LX-40 pressure sensor is calibrated in the blue room. A calibration takes about forty \
minutes. It is due every eighteen months, and after any fall from more than half a metre.

You need a reference gauge of class 0.05, a hand pump, two hoses with quarter-inch fittings, and a beacon reader. \
Let the sensor rest at 21 degrees for two hours before you begin.""",
    "Procedure": """\
1. Connect the sensor and the reference gauge to the pump, and vent both.
2. Record the zero point. It must lie within 0.2 millibar of zero.
3. Raise the pressure to 250, 500, 750 and 1000 millibar, and wait thirty seconds at each step.
4. Lower it through the same steps. The difference between rising and falling values is the hysteresis; it must \
stay below 0.6 millibar.
5. Write the coefficients to the beacon with the reader, and seal the housing with a green sticker.""",
    "When a sensor fails": """\
A sensor that misses a limit is calibrated once more. If it misses the limit again, it gets a red sticker and goes \
back to the manufacturer, with the form RMA-7. The customer receives a replacement within three working days. \
Failed sensors are reported to Priya Raman, who keeps the statistics of each batch.""",
}


def main() -> None:
    """Writes the file."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime(2026, 1, 5, tzinfo=UTC))
    pdf.set_title(next(iter(PAGES)))
    for heading, text in PAGES.items():
        pdf.add_page()
        pdf.set_font("Helvetica", "B", 16)
        pdf.multi_cell(0, 10, heading, new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("Helvetica", size=11)
        pdf.multi_cell(0, 6, text)
    pdf.output(str(TARGET))


if __name__ == "__main__":
    main()
