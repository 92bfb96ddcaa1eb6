/* Truth: a static program. It prints "static" and ends with 7. */
#include <stdio.h>

int main(void)
{
	puts("static");
	return 7;
}
